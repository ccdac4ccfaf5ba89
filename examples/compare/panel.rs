//! The panel: every control of the effect, made from tables, with the widgets of Bevy's `bevy_feathers`.

use bevy::dev_tools::frame_time_graph::{FrameTimeGraphConfigUniform, FrameTimeGraphPlugin, FrametimeGraphMaterial};
use bevy::diagnostic::{DiagnosticsStore, FrameTimeDiagnosticsPlugin};
use bevy::feathers::controls::{FeathersButton, FeathersCheckbox, FeathersRadio, FeathersSlider};
use bevy::feathers::dark_theme::create_dark_theme;
use bevy::feathers::display::{label, label_dim};
use bevy::feathers::theme::{ThemeBackgroundColor, ThemedText, UiTheme};
use bevy::feathers::{FeathersPlugins, tokens};
use bevy::input_focus::InputFocus;
use bevy::input_focus::tab_navigation::TabGroup;
use bevy::prelude::*;
use bevy::render::storage::ShaderBuffer;
use bevy::ui::Checked;
use bevy::ui_widgets::{Activate, RadioGroup, SliderPrecision, SliderStep, SliderValue, ValueChange};
use bevy_portrait_realism::prelude::*;

use crate::Playing;
use crate::common::measured::portrait_ms;
use crate::view::{Shown, View};

/// Budget of the resolution that is left to the plugin, milliseconds on the GPU.
const BUDGET_MS: f32 = 4.0;
/// Range of the logarithmic plot of frame times, frames a second. The range includes slow software rendering.
const PLOT_FPS: [f32; 2] = [0.2, 120.0];
/// Width of the panel, pixels.
const PANEL_PX: f32 = 304.0;

/// A number among the effect's settings, with the slider that changes it.
struct Slide {
    label: &'static str,
    range: [f32; 2],
    /// Number of decimal places that are shown.
    precision: i32,
    get: fn(&PortraitRealism) -> f32,
    set: fn(&mut PortraitRealism, f32),
}

/// The panel's sliders, one on each line.
#[rustfmt::skip]
const SLIDES: [Slide; 7] = [
    Slide { label: "Strength", range: [0.0, 1.0], precision: 2, get: |it| it.strength, set: |it, to| it.strength = to },
    Slide { label: "Base", range: [0.0, 2.0], precision: 2, get: |it| it.base, set: |it, to| it.base = to },
    Slide { label: "Detail", range: [0.0, 2.0], precision: 2, get: |it| it.detail, set: |it, to| it.detail = to },
    Slide { label: "Keep colour", range: [0.0, 1.0], precision: 2, get: |it| it.preserve_color, set: |it, to| it.preserve_color = to },
    Slide { label: "Likeness", range: [0.0, 1.0], precision: 2, get: |it| it.likeness, set: |it, to| it.likeness = to },
    Slide { label: "History", range: [0.0, PortraitRealism::MAX_HISTORY], precision: 2, get: |it| it.history, set: |it, to| it.history = to },
    Slide { label: "Max faces", range: [0.0, 8.0], precision: 0, get: |it| it.max_faces as f32, set: |it, to| it.max_faces = to as usize },
];

/// A checkbox of the panel.
struct Switch {
    label: &'static str,
    get: fn(&State) -> bool,
    set: fn(&mut State, bool),
}

/// The panel's switches, one on each line.
#[rustfmt::skip]
const SWITCHES: [Switch; 3] = [
    Switch { label: "Effect (Space)", get: |it| it.portrait.enabled, set: |it, to| it.portrait.enabled = to },
    Switch { label: "Animate (P)", get: |it| it.playing.0, set: |it, to| it.playing.0 = to },
    Switch { label: "Oval mask", get: |it| it.portrait.mask.is_some(), set: |it, to| it.mask(to) },
];

/// One button of a group in which exactly one is chosen.
#[derive(Clone, Copy, PartialEq)]
enum Choice {
    View(View),
    /// The weights: true for the fast ones, false for the best ones.
    Fast(bool),
    Resolution(PortraitResolution),
}

const VIEWS: [&str; 7] = ["Split", "Before", "After", "Difference", "Heat", "Region", "Mask"];
const RESOLUTIONS: [(&str, PortraitResolution); 4] = [
    ("128", PortraitResolution::Low),
    ("256", PortraitResolution::Medium),
    ("512", PortraitResolution::High),
    ("auto", PortraitResolution::Auto { budget_ms: BUDGET_MS }),
];

/// Access to everything that the panel changes.
#[derive(bevy::ecs::system::SystemParam)]
struct State<'w, 's> {
    portrait: Single<'w, 's, &'static mut PortraitRealism>,
    shown: ResMut<'w, Shown>,
    playing: ResMut<'w, Playing>,
}

impl State<'_, '_> {
    fn mask(&mut self, on: bool) {
        self.portrait.mask = on.then(|| PortraitMask { image: self.shown.mask.clone(), ..default() });
    }

    fn is(&self, choice: Choice) -> bool {
        match choice {
            Choice::View(view) => self.shown.view == view,
            Choice::Fast(fast) => (self.portrait.model == PortraitModel::FAST) == fast,
            Choice::Resolution(resolution) => self.portrait.resolution == resolution,
        }
    }

    fn choose(&mut self, choice: Choice) {
        match choice {
            Choice::View(view) => self.shown.view = view,
            Choice::Fast(true) => self.portrait.model = PortraitModel::FAST,
            Choice::Fast(false) => self.portrait.model = PortraitModel::QUALITY,
            Choice::Resolution(resolution) => self.portrait.resolution = resolution,
        }
    }
}

/// Marks a slider, by its line in [`SLIDES`].
#[derive(Component, Clone, Copy, Default)]
struct SlideAt(usize);

/// Marks a switch, by its line in [`SWITCHES`].
#[derive(Component, Clone, Copy, Default)]
struct SwitchAt(usize);

/// Marks the button of a choice.
#[derive(Component, Clone, Copy)]
struct Chooses(Choice);

impl Default for Chooses {
    fn default() -> Self {
        Self(Choice::View(View::default()))
    }
}

/// Marks the line with times.
#[derive(Component, Clone, Default)]
struct Times;

/// Marks the node for the plot of frame times.
#[derive(Component, Clone, Default)]
struct Plot;

pub struct PanelPlugin;

impl Plugin for PanelPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins((FeathersPlugins, FrameTimeDiagnosticsPlugin::default(), FrameTimeGraphPlugin))
            .insert_resource(UiTheme(create_dark_theme()))
            .add_observer(slide)
            .add_observer(switch)
            .add_observer(choose)
            .add_observer(plot)
            .add_systems(Update, (press_keys, (show_slides, show_switches, show_choices, show_times)).chain());
    }
}

/// Returns the panel's node, to be placed in a layout.
pub fn panel() -> impl Scene {
    let views = VIEWS.into_iter().zip(View::ALL).map(|(label, view)| (label, Choice::View(view)));
    let models = [("Quality", Choice::Fast(false)), ("Fast", Choice::Fast(true))];
    let resolutions = RESOLUTIONS.into_iter().map(|(label, resolution)| (label, Choice::Resolution(resolution)));
    let switches: Vec<_> = (0..SWITCHES.len()).map(switch_row).collect();
    let slides: Vec<_> = (0..SLIDES.len()).map(slide_row).collect();
    bsn! {
        Node {
            width: px(PANEL_PX),
            height: percent(100),
            flex_shrink: 0.0,
            flex_direction: FlexDirection::Column,
            row_gap: px(5),
            padding: UiRect::all(px(12)),
            overflow: Overflow::scroll_y(),
        }
        TabGroup
        ThemeBackgroundColor(tokens::WINDOW_BG)
        Children [
            {switches},
            label_dim("View (1 to 7)"),
            group(views, 33.0),
            label_dim("Network"),
            group(models, 33.0),
            label_dim("Pixels a side that it sees (auto: 4 ms)"),
            group(resolutions, 25.0),
            {slides},
            (
                @FeathersButton
                on(reset)
                Children [ (Text("Defaults") ThemedText) ]
            ),
            (label("") Times),
            (
                Plot
                Node { height: px(56), width: percent(100), flex_shrink: 0.0 }
            )
        ]
    }
}

fn group(choices: impl IntoIterator<Item = (&'static str, Choice)>, width: f32) -> impl Scene {
    let choices: Vec<_> = choices
        .into_iter()
        .map(|(label, choice)| {
            bsn! {
                @FeathersRadio { @caption: bsn! { Text(label) ThemedText } }
                Node { width: percent(width) }
                Chooses(choice)
            }
        })
        .collect();
    bsn! {
        Node { flex_direction: FlexDirection::Row, flex_wrap: FlexWrap::Wrap, row_gap: px(4) }
        RadioGroup
        Children [ {choices} ]
    }
}

fn switch_row(at: usize) -> impl Scene {
    let label = SWITCHES[at].label;
    bsn! {
        @FeathersCheckbox { @caption: bsn! { Text(label) ThemedText } }
        SwitchAt(at)
    }
}

fn slide_row(at: usize) -> impl Scene {
    let Slide { label: text, range: [min, max], precision, .. } = SLIDES[at];
    let step = (max - min) / if precision == 0 { max - min } else { 20.0 };
    bsn! {
        Node { flex_direction: FlexDirection::Row, align_items: AlignItems::Center }
        Children [
            (Node { width: px(88), flex_shrink: 0.0 } Children [ label(text) ]),
            (
                @FeathersSlider { @min: min, @max: max }
                SliderStep(step)
                SliderPrecision(precision)
                SlideAt(at)
            )
        ]
    }
}

fn slide(change: On<ValueChange<f32>>, slides: Query<&SlideAt>, mut state: State) {
    if let Ok(SlideAt(at)) = slides.get(change.source) {
        (SLIDES[*at].set)(&mut state.portrait, change.value);
    }
}

fn switch(change: On<ValueChange<bool>>, switches: Query<&SwitchAt>, mut state: State) {
    if let Ok(SwitchAt(at)) = switches.get(change.source) {
        (SWITCHES[*at].set)(&mut state, change.value);
    }
}

fn choose(change: On<ValueChange<Entity>>, choices: Query<&Chooses>, mut state: State) {
    if let Ok(Chooses(choice)) = choices.get(change.value) {
        state.choose(*choice);
    }
}

fn reset(_: On<Activate>, mut state: State) {
    **state.portrait = default();
}

fn press_keys(
    keys: Res<ButtonInput<KeyCode>>,
    focus: Res<InputFocus>,
    switches: Query<(), With<SwitchAt>>,
    mut state: State,
) {
    // With the keyboard's focus on it, a switch takes the key itself.
    let on_switch = focus.get().is_some_and(|entity| switches.contains(entity));
    if keys.just_pressed(KeyCode::Space) && !on_switch {
        state.portrait.enabled = !state.portrait.enabled;
    }
    if keys.just_pressed(KeyCode::KeyP) {
        state.playing.0 = !state.playing.0;
    }
    let digits = [
        KeyCode::Digit1,
        KeyCode::Digit2,
        KeyCode::Digit3,
        KeyCode::Digit4,
        KeyCode::Digit5,
        KeyCode::Digit6,
        KeyCode::Digit7,
    ];
    for (key, view) in digits.into_iter().zip(View::ALL) {
        if keys.just_pressed(key) {
            state.shown.view = view;
        }
    }
}

fn show_slides(mut commands: Commands, slides: Query<(Entity, &SlideAt, &SliderValue)>, state: State) {
    for (entity, SlideAt(at), shown) in &slides {
        let value = (SLIDES[*at].get)(&state.portrait);
        if shown.0 != value {
            commands.entity(entity).insert(SliderValue(value));
        }
    }
}

fn show_switches(mut commands: Commands, switches: Query<(Entity, &SwitchAt, Has<Checked>)>, state: State) {
    for (entity, SwitchAt(at), shown) in &switches {
        check(&mut commands, entity, shown, (SWITCHES[*at].get)(&state));
    }
}

fn show_choices(mut commands: Commands, choices: Query<(Entity, &Chooses, Has<Checked>)>, state: State) {
    for (entity, Chooses(choice), shown) in &choices {
        check(&mut commands, entity, shown, state.is(*choice));
    }
}

fn check(commands: &mut Commands, entity: Entity, shown: bool, wanted: bool) {
    match (shown, wanted) {
        (false, true) => _ = commands.entity(entity).insert(Checked),
        (true, false) => _ = commands.entity(entity).remove::<Checked>(),
        _ => {}
    }
}

fn show_times(
    diagnostics: Res<DiagnosticsStore>,
    status: Single<&PortraitStatus>,
    mut line: Single<&mut Text, With<Times>>,
) {
    let frame_time = diagnostics.get(&FrameTimeDiagnosticsPlugin::FRAME_TIME);
    let frame_ms = frame_time.and_then(|it| it.smoothed()).unwrap_or_default();
    let effect = match status.tier {
        Some(_) => {
            format!(
                "effect {:.1} ms at {} x {} pixels",
                portrait_ms(&diagnostics),
                status.network_px.x,
                status.network_px.y
            )
        }
        None => "effect off".into(),
    };
    line.set_if_neq(Text(format!("frame {frame_ms:.1} ms\n{effect}")));
}

/// Adds Bevy's own plot of frame times, which Bevy's overlay shows as well.
fn plot(
    added: On<Add, Plot>,
    mut commands: Commands,
    mut materials: ResMut<Assets<FrametimeGraphMaterial>>,
    mut buffers: ResMut<Assets<ShaderBuffer>>,
) {
    let [slowest, fastest] = PLOT_FPS;
    let material = FrametimeGraphMaterial {
        // The buffer must not be empty, since the shader takes its length.
        values: buffers.add(ShaderBuffer::from(vec![0.0_f32; 4])),
        config: FrameTimeGraphConfigUniform::new(fastest, slowest, false),
    };
    commands.entity(added.entity).insert(MaterialNode(materials.add(material)));
}
