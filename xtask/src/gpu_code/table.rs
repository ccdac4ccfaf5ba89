//! The figures of a kernel on one GPU family, the limits that they have to keep, and the tables.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::disassembly::{Code, Family};
use super::kernels::{Compiled, Kernel};

/// Smallest number of waves of 32 lanes that a SIMD unit holds at once; fewer do not hide the time that memory takes.
const MIN_WAVES: u64 = 8;
/// Smallest share of the loop's vector instructions that multiply and add at the full rate.
const MIN_FULL_RATE: f64 = 0.8;
/// Largest share of the instructions of a kernel in f32 that its twin takes which multiplies in f16.
const MAX_HALVES: f64 = 0.6;

/// A kernel, compiled for a GPU family.
pub struct Judged<'a> {
    kernel: &'a Kernel,
    family: Family,
    wave_size: u32,
    vgprs: u64,
    vgpr_spills: u64,
    sgpr_spills: u64,
    waves: u64,
    code_bytes: u64,
    code: Code,
}

impl<'a> Judged<'a> {
    /// Reads what a driver made of a kernel.
    pub fn new(kernel: &'a Kernel, compiled: &Compiled, family: Family) -> Result<Self> {
        let figure = |name: &str| {
            let found = compiled.statistics.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
            let known = || format!("the driver tells no {name:?}, but {:?}", compiled.statistics.keys());
            found.map(|(_, value)| *value).with_context(known)
        };
        Ok(Self {
            kernel,
            family,
            wave_size: compiled.wave_size,
            vgprs: figure("VGPRs")?,
            vgpr_spills: figure("Spilled VGPRs")?,
            sgpr_spills: figure("Spilled SGPRs")?,
            waves: figure("Subgroups per SIMD")?,
            code_bytes: figure("Code size")?,
            code: Code::read(&compiled.assembly, compiled.wave_size, family),
        })
    }

    /// Returns a line for each limit that the kernel breaks.
    pub fn wrong(&self) -> Vec<String> {
        let Self { kernel, code, .. } = self;
        let mut wrong = Vec::new();
        let mut check = |holds: bool, what: String| {
            if !holds {
                let Kernel { variant, shape, .. } = kernel;
                wrong.push(format!("{variant}, {shape}, {}: {what}", self.family.name()));
            }
        };
        check(self.vgpr_spills == 0, format!("{} spilled vector registers, none expected", self.vgpr_spills));
        check(self.sgpr_spills == 0, format!("{} spilled scalar registers, none expected", self.sgpr_spills));
        check(self.waves >= MIN_WAVES, format!("{} waves, at least {MIN_WAVES} expected", self.waves));
        check(code.inner.narrow_loads == 0, format!("{} loads of 16 bits, none expected", code.inner.narrow_loads));
        check(
            code.inner.conversions == 0,
            format!("{} conversions in the loop, none expected", code.inner.conversions),
        );
        let share = code.full_rate_share();
        check(
            kernel.matrices || share >= MIN_FULL_RATE,
            format!(
                "{:.0} % of the loop multiply at the full rate, at least {:.0} % expected",
                100.0 * share,
                100.0 * MIN_FULL_RATE
            ),
        );
        check(
            !kernel.matrices || code.inner.matrices > 0,
            "no product of matrices in the loop, at least one expected".into(),
        );
        wrong
    }

    /// Returns the vector instructions of the loops for each multiply-add of a lane.
    fn instructions(&self) -> f64 {
        let Code { inner, outer, .. } = self.code;
        let [layer, ..] = &self.kernel.layers[..] else { return f64::NAN };
        f64::from(inner.vector) / inner.multiply_adds + f64::from(outer.vector) * layer.outer_turns / layer.made
    }

    /// Returns the estimated share of the f32 peak for each layer.
    fn shares(&self) -> impl Iterator<Item = (&str, &str, f64)> {
        self.kernel.layers.iter().map(|layer| {
            let share = self.code.peak_share(layer.useful, layer.made, layer.outer_turns, self.wave_size, self.family);
            (layer.network.as_str(), layer.name.as_str(), share)
        })
    }
}

/// Returns a line for each kernel that multiplies in f16 and takes more of the instructions of its twin in f32 than it may.
pub fn wrong_halves(judged: &[Judged]) -> Vec<String> {
    let of = |variant: &'static str| judged.iter().filter(move |one| one.kernel.variant == variant);
    let mut wrong = Vec::new();
    for packed in of("HALF_PRODUCTS") {
        let (family, shape) = (packed.family, &packed.kernel.shape);
        let twin = of("HALF").find(|twin| twin.family == family && twin.kernel.shape == *shape);
        let share = twin.map_or(f64::INFINITY, |twin| packed.instructions() / twin.instructions());
        if share.is_nan() || share > MAX_HALVES {
            let name = family.name();
            wrong.push(format!(
                "HALF_PRODUCTS, {shape}, {name}: {share:.2} of the instructions of HALF, at most {MAX_HALVES} expected"
            ));
        }
    }
    wrong
}

/// Prints a row for each kernel and family, and with `layers` a row for each layer as well, as Markdown.
pub fn print(judged: &[Judged], layers: bool) {
    println!(
        "| variant | kernel | GPU | lanes | VGPRs | spilled VGPRs, SGPRs | waves | KB of code | vector instructions in the loop \
         | at full rate | conversions | pairs | matrices | 16-bit loads | of the f32 peak |"
    );
    println!("|{}", "---|".repeat(15));
    for one in judged {
        let Judged { kernel, code, .. } = one;
        let shares: Vec<f64> = one.shares().map(|(.., share)| 100.0 * share).collect();
        let [least, most] = [f64::min, f64::max]
            .map(|pick: fn(f64, f64) -> f64| shares.iter().copied().reduce(pick).unwrap_or(f64::NAN));
        println!(
            "| `{}` | {} | {} | {} | {} | {}, {} | {} | {} | {} | {:.0} % | {} | {} | {} | {} | {least:.0}–{most:.0} % |",
            kernel.variant,
            kernel.shape,
            one.family.name(),
            one.wave_size,
            one.vgprs,
            one.vgpr_spills,
            one.sgpr_spills,
            one.waves,
            one.code_bytes.div_ceil(1024),
            code.inner.vector + code.outer.vector,
            100.0 * code.full_rate_share(),
            code.inner.conversions + code.outer.conversions,
            code.inner.pairs,
            code.inner.matrices,
            code.inner.narrow_loads + code.outer.narrow_loads,
        );
    }
    if layers {
        print_layers(judged);
    }
}

/// Prints the estimated share of the f32 peak of each layer, variant and family.
fn print_layers(judged: &[Judged]) {
    let mut variants: Vec<&str> = judged.iter().map(|one| one.kernel.variant.as_str()).collect();
    variants.dedup();
    let variants: Vec<&str> = variants
        .iter()
        .enumerate()
        .filter(|(at, name)| !variants[..*at].contains(name))
        .map(|(_, name)| *name)
        .collect();
    // In the networks' own order, which the kernels' files are not in.
    let rows: BTreeSet<(usize, &str, &str)> = judged
        .iter()
        .flat_map(|one| {
            one.kernel.layers.iter().map(|layer| (layer.place, layer.network.as_str(), layer.name.as_str()))
        })
        .collect();
    let columns = || variants.iter().flat_map(|variant| Family::ALL.map(|family| (*variant, family)));
    let titles: Vec<String> = columns().map(|(variant, family)| format!("`{variant}`, {}", family.name())).collect();
    println!("\n| layer | {} |\n|---|{}", titles.join(" | "), "---|".repeat(titles.len()));
    for (_, network, layer) in rows {
        let cells = columns().map(|(variant, family)| {
            let mut of = judged.iter().filter(|one| one.kernel.variant == variant && one.family == family);
            let share = of.find_map(|one| one.shares().find(|found| (found.0, found.1) == (network, layer)));
            share.map_or_else(|| "–".into(), |(.., share)| format!("{:.0}", 100.0 * share))
        });
        println!("| `{network}` {layer} | {} |", cells.collect::<Vec<String>>().join(" | "));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::gpu_code::kernels::Layer;

    fn kernel(variant: &str) -> Kernel {
        let layer = Layer { network: "n".into(), name: "l".into(), place: 0, useful: 8.0, made: 8.0, outer_turns: 1.0 };
        let (variant, shape, file) = (variant.into(), "3x3".into(), "k.spv".into());
        Kernel { variant, shape, file, bindings: Vec::new(), matrices: false, layers: vec![layer] }
    }

    /// Makes what RADV tells of a loop of `instructions`.
    fn compiled(instructions: &str, figures: [u64; 4]) -> Compiled {
        let names = ["VGPRs", "Spilled VGPRs", "Spilled SGPRs", "Subgroups per SIMD"];
        let mut statistics: std::collections::BTreeMap<_, _> =
            names.into_iter().zip(figures).map(|(name, figure)| (name.to_owned(), figure)).collect();
        statistics.insert("Code size".into(), 64);
        Compiled { wave_size: 64, statistics, assembly: format!("BB0:\n{instructions}\ts_cbranch_scc1 BB0\n") }
    }

    #[test]
    fn every_limit_that_a_kernel_breaks_is_named() {
        let (kernel, good) = (kernel("HALF"), "\tv_fmac_f32_e32 v1, s4, v2\n");
        let wrong = |instructions: &str, figures| {
            Judged::new(&kernel, &compiled(instructions, figures), Family::Rdna3).unwrap().wrong()
        };
        assert_eq!(wrong(good, [64, 0, 0, 8]), Vec::<String>::new());
        let broken = wrong(good, [256, 3, 2, 7]).join("\n");
        for what in ["3 spilled vector", "2 spilled scalar", "7 waves"] {
            assert!(broken.contains(what), "{broken}");
        }
        let broken =
            wrong("\tv_cvt_f32_f16_e32 v3, v4\n\tds_load_u16 v9, v8\n\tv_pk_fma_f16 v1, s4, v2, v1\n", [64, 0, 0, 8]);
        for what in ["1 loads of 16 bits", "1 conversions", "33 % of the loop"] {
            assert!(broken.join("\n").contains(what), "{broken:?}");
        }
    }

    #[test]
    fn products_in_f16_have_to_save_instructions() {
        let (half, packed) = (kernel("HALF"), kernel("HALF_PRODUCTS"));
        let two = compiled("\tv_fmac_f32_e32 v1, s4, v2\n\tv_fmac_f32_e32 v1, s4, v2\n", [64, 0, 0, 8]);
        let one = compiled("\tv_pk_fma_f16 v1, s4, v2, v1\n", [64, 0, 0, 8]);
        let judged = |kernel, compiled| Judged::new(kernel, compiled, Family::Rdna2).unwrap();
        assert!(wrong_halves(&[judged(&half, &two), judged(&packed, &one)]).is_empty());
        assert_eq!(wrong_halves(&[judged(&half, &two), judged(&packed, &two)]).len(), 1);
        // Without its twin it proves nothing.
        assert_eq!(wrong_halves(&[judged(&packed, &one)]).len(), 1);
    }
}
