//! Marks the faces of scenes as they load, by names and extras that artists wrote into the file.

use bevy::asset::Handle;
use bevy::camera::primitives::Aabb;
use bevy::ecs::entity::EntityHashSet;
use bevy::ecs::prelude::*;
use bevy::ecs::system::SystemParam;
use bevy::log::warn;
use bevy::math::Vec3;
use bevy::reflect::Reflect;
use bevy::reflect::std_traits::ReflectDefault;
use serde_json::Value;

use crate::api::model::PortraitModel;
use crate::api::settings::PortraitFace;

/// The component in which Bevy's glTF loader keeps extras. It is read by its name, so that the plugin does not need the loader.
const EXTRAS_TYPE: &str = "bevy_gltf::assets::GltfExtras";
/// The key among a node's extras that marks a face.
const EXTRAS_KEY: &str = "portrait_face";
/// Largest number of names that a warning lists.
const LISTED_NAMES: usize = 40;

/// Marks the faces of a scene. Add it to the scene's root, beside `WorldAssetRoot`: entities below it get a [`PortraitFace`] as they appear,
/// also when the scene is loaded again. A face is
/// - an entity whose [`Name`] is among [`names`](Self::names): a mesh, a node with meshes below it, or a bone such as
///   `mixamorig:Head`, whose face is the vertices that it moves, or
/// - a glTF node whose extras (in Blender: custom properties of the object, exported with *Include → Custom Properties*)
///   hold `"portrait_face": true`, or `"portrait_face": [x, y, z, x, y, z]` with the lower and the upper corner of
///   [`PortraitFace::bounds`], in the node's own space as in the file: metres, y up.
///
/// Where matching entities lie inside one another, the outermost is the face. A [`PortraitFace`] that is there already is kept. Where
/// nothing matches, one warning for the root lists the names there are.
///
/// ```
/// # use bevy::prelude::*;
/// # use bevy_portrait_realism::prelude::*;
/// # fn setup(mut commands: Commands, assets: Res<AssetServer>) {
/// commands.spawn((WorldAssetRoot(assets.load("crew.glb#Scene0")), MarkPortraitFaces::named(["Captain_Head", "*_face"])));
/// # }
/// ```
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Debug, Clone, PartialEq)]
pub struct MarkPortraitFaces {
    /// Names of faces, capitals matter; `*` stands for any characters, or none: `"Head"`, `"*_head"`, `"Head*"`.
    /// Default: empty, extras alone mark.
    pub names: Vec<String>,
    /// The weights of the faces that are marked: their [`PortraitFace::model`]. A face that is marked already keeps its own. Default:
    /// `None`, the weights of the camera.
    pub model: Option<Handle<PortraitModel>>,
}

impl MarkPortraitFaces {
    /// Marks entities of these [`names`](Self::names), and those that extras mark.
    pub fn named(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    fn matches(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| fits(pattern, name))
    }
}

/// Returns whether the pattern, with `*` for any characters, describes the whole of `text`.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    // The part after a `*` may start anywhere in the rest of the text.
    (0..=text.len()).filter(|&at| text.is_char_boundary(at)).any(|at| fits(rest, &text[at..]))
}

/// Returns whether there can be something to mark: names have appeared, or a root's settings have changed.
pub(crate) fn scenes_have_changed(
    roots: Query<(), With<MarkPortraitFaces>>,
    new_roots: Query<(), Changed<MarkPortraitFaces>>,
    new_names: Query<(), Changed<Name>>,
) -> bool {
    let (any_new_root, any_new_name) = (!new_roots.is_empty(), !new_names.is_empty());
    !roots.is_empty() && (any_new_root || any_new_name)
}

/// Marks the faces that have appeared since the last frame. A scene appears as a whole, with its names, between `Update` and
/// `PostUpdate`.
pub(crate) fn mark_faces(
    mut commands: Commands,
    roots: Query<(Entity, Ref<MarkPortraitFaces>)>,
    names: Query<Ref<Name>>,
    faces: Query<(), With<PortraitFace>>,
    children: Query<&Children>,
    extras: Extras,
    mut warned: Local<EntityHashSet>,
) {
    for (root, wanted) in &roots {
        let (mut new, mut any_face, mut there) = (false, false, Vec::new());
        let mut waiting = vec![root];
        while let Some(entity) = waiting.pop() {
            if faces.contains(entity) {
                any_face = true;
                continue;
            }
            if let Ok(name) = names.get(entity) {
                let appeared = name.is_changed() || wanted.is_changed();
                let said = if appeared { extras.of(entity) } else { None };
                if let Some(face) = said.and_then(|said| face_that_extras_mark(&said, &name)) {
                    commands.entity(entity).try_insert(PortraitFace { model: wanted.model.clone(), ..face });
                    any_face = true;
                    continue;
                }
                if appeared && wanted.matches(&name) {
                    commands
                        .entity(entity)
                        .try_insert(PortraitFace { model: wanted.model.clone(), ..Default::default() });
                    any_face = true;
                    continue;
                }
                if entity != root {
                    new |= appeared;
                    there.push(name.to_string());
                }
            }
            waiting.extend(children.get(entity).into_iter().flatten());
        }
        if new && !any_face && warned.insert(root) {
            warn!("{}", nothing_matched(root, names.get(root).ok().as_deref(), &wanted, there));
        }
    }
}

fn nothing_matched(root: Entity, name: Option<&Name>, wanted: &MarkPortraitFaces, mut there: Vec<String>) -> String {
    there.sort();
    there.dedup();
    let more = there.len().saturating_sub(LISTED_NAMES);
    there.truncate(LISTED_NAMES);
    let root = name.map_or_else(|| root.to_string(), |name| format!("{name} ({root})"));
    let names =
        if wanted.names.is_empty() { String::new() } else { format!("is called {} or ", wanted.names.join(" or ")) };
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "portrait realism: no face is marked below {root}: nothing {names}has \"{EXTRAS_KEY}\": true among its glTF \
         extras. There are: {}{more}",
        there.join(", ")
    )
}

/// The glTF extras of entities.
#[derive(SystemParam)]
pub(crate) struct Extras<'w, 's> {
    types: Res<'w, AppTypeRegistry>,
    entities: Query<'w, 's, EntityRef<'static>>,
}

impl Extras<'_, '_> {
    /// Returns the value of [`EXTRAS_KEY`] among an entity's extras.
    fn of(&self, entity: Entity) -> Option<Value> {
        let types = self.types.read();
        let component = types.get_with_type_path(EXTRAS_TYPE)?.data::<ReflectComponent>()?;
        let extras = component.reflect(self.entities.get(entity).ok()?)?;
        let text = extras.reflect_ref().as_struct().ok()?.field("value")?.try_downcast_ref::<String>()?;
        serde_json::from_str::<Value>(text).ok()?.get_mut(EXTRAS_KEY).map(Value::take)
    }
}

fn face_that_extras_mark(said: &Value, name: &Name) -> Option<PortraitFace> {
    let bounds = match said {
        Value::Bool(true) => None,
        Value::Bool(false) | Value::Null => return None,
        // Older exporters write switches as numbers.
        Value::Number(number) if number.as_f64() == Some(0.0) => return None,
        Value::Number(_) => None,
        _ => match bounds(said) {
            Some(bounds) => Some(bounds),
            None => {
                warn!(
                    "portrait realism: the glTF extras of {name} hold \"{EXTRAS_KEY}\": {said}; expected true, or the \
                     lower and the upper corner of the face as six finite numbers. Its meshes are the bounds"
                );
                None
            }
        },
    };
    Some(PortraitFace { bounds, ..PortraitFace::default() })
}

/// Reads a lower and an upper corner from six numbers.
fn bounds(said: &Value) -> Option<Aabb> {
    let numbers: Vec<f32> =
        said.as_array()?.iter().map(|number| number.as_f64().map(|it| it as f32)).collect::<Option<_>>()?;
    let (min, max) = (numbers.len() == 6).then(|| (Vec3::from_slice(&numbers), Vec3::from_slice(&numbers[3..])))?;
    (min.is_finite() && max.is_finite() && min.cmplt(max).all()).then(|| Aabb::from_min_max(min, max))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_outermost_match_is_marked_and_only_as_it_appears() {
        let mut world = World::new();
        world.init_resource::<AppTypeRegistry>();
        let root = world.spawn(MarkPortraitFaces::named(["Head*"])).id();
        let head = world.spawn((ChildOf(root), Name::new("Head"))).id();
        let mesh = world.spawn((ChildOf(head), Name::new("Head.Skin"))).id();
        world.get_mut::<MarkPortraitFaces>(root).unwrap().model = Some(PortraitModel::FAST);
        world.run_system_cached(mark_faces).unwrap();
        let face = world.get::<PortraitFace>(head).unwrap();
        assert_eq!(face.model, Some(PortraitModel::FAST), "the root's weights");
        assert!(!world.entity(mesh).contains::<PortraitFace>(), "it is inside a face");
        world.entity_mut(head).remove::<PortraitFace>();
        world.spawn((ChildOf(root), Name::new("Hat")));
        world.run_system_cached(mark_faces).unwrap();
        assert!(!world.entity(head).contains::<PortraitFace>(), "taken away by the game");
    }

    #[test]
    fn patterns_describe_the_whole_name() {
        for (pattern, name) in [
            ("Head", "Head"),
            ("*", ""),
            ("*", "Head"),
            ("*_face", "old_face"),
            ("H*d", "Head"),
            ("*e*d*", "Head"),
            ("ä*", "äö"),
        ] {
            assert!(fits(pattern, name), "{pattern} describes {name}");
        }
        for (pattern, name) in
            [("Head", "head"), ("Head", "Head.001"), ("", "Head"), ("*_face", "face"), ("H*H", "H"), ("*x*", "Head")]
        {
            assert!(!fits(pattern, name), "{pattern} does not describe {name}");
        }
    }

    #[test]
    fn extras_mark_a_face_with_or_without_bounds() {
        let name = Name::new("Head");
        let marked = |said: Value| face_that_extras_mark(&said, &name).map(|face| face.bounds);
        for said in [json!(true), json!(1), json!("yes"), json!([0, 1, 2]), json!([1, 1, 1, 0, 2, 2])] {
            assert_eq!(marked(said.clone()), Some(None), "{said}");
        }
        for said in [json!(false), json!(0), Value::Null] {
            assert_eq!(marked(said.clone()), None, "{said}");
        }
        let bounds = Aabb::from_min_max(Vec3::new(-1.0, 0.0, 0.5), Vec3::new(1.0, 2.0, 1.5));
        assert_eq!(marked(json!([-1, 0, 0.5, 1, 2, 1.5])), Some(Some(bounds)));
    }
}
