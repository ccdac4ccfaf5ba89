//! Reads a disassembly: which instructions are in the loop that multiplies, and how long a wave issues them.

/// A GPU family that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Family {
    /// RDNA 2, as in the Radeon RX 6000 series and the Steam Deck.
    Rdna2,
    /// RDNA 3, as in the Radeon RX 7000 series.
    Rdna3,
    /// RDNA 4, as in the Radeon RX 9000 series.
    Rdna4,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 3] = [Self::Rdna2, Self::Rdna3, Self::Rdna4];

    /// Returns the chip's name in `RADV_FORCE_FAMILY`.
    pub fn chip(self) -> &'static str {
        match self {
            Self::Rdna2 => "NAVI21",
            Self::Rdna3 => "NAVI31",
            Self::Rdna4 => "GFX1201",
        }
    }

    /// Returns the name of the architecture.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rdna2 => "RDNA 2",
            Self::Rdna3 => "RDNA 3",
            Self::Rdna4 => "RDNA 4",
        }
    }

    /// Returns the f32 multiply-adds that a SIMD unit makes in a cycle at most: RDNA 3 issues two at once.
    pub fn peak(self) -> f64 {
        if self == Self::Rdna2 { 32.0 } else { 64.0 }
    }

    /// Returns the cycles that a product of 16 × 16 matrices of f16 takes.
    fn matrix_cycles(self) -> u32 {
        if self == Self::Rdna4 { 16 } else { 32 }
    }
}

/// Instructions, counted by what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mix {
    /// Vector instructions: arithmetic, and access to memory. Two that are issued together count once.
    pub vector: u32,
    /// Cycles for which a wave issues vector arithmetic.
    pub cycles: u32,
    /// Instructions that multiply and add at the full rate.
    pub at_full_rate: u32,
    /// Multiply-adds of a lane.
    pub multiply_adds: f64,
    /// Instructions that are two f32 operations.
    pub pairs: u32,
    /// Conversions between formats.
    pub conversions: u32,
    /// Loads of 16 bits or fewer.
    pub narrow_loads: u32,
    /// Products of matrices.
    pub matrices: u32,
}

impl Mix {
    fn add(&mut self, other: Self) {
        self.vector += other.vector;
        self.cycles += other.cycles;
        self.at_full_rate += other.at_full_rate;
        self.multiply_adds += other.multiply_adds;
        self.pairs += other.pairs;
        self.conversions += other.conversions;
        self.narrow_loads += other.narrow_loads;
        self.matrices += other.matrices;
    }
}

/// Smallest share of the multiply-adds of the loop with the most of them that makes a loop one that multiplies.
const MIN_SHARE_OF_WORK: f64 = 0.25;

/// The instructions of a kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Code {
    /// The innermost loops that multiply.
    pub inner: Mix,
    /// Loops around it, without what is in it.
    pub outer: Mix,
    /// Everything else.
    pub outside: Mix,
}

impl Code {
    /// Reads RADV's disassembly of a kernel whose waves have that many lanes.
    pub fn read(assembly: &str, wave_size: u32, family: Family) -> Self {
        let blocks = blocks(assembly, wave_size, family);
        // A branch to its own or an earlier block closes a loop.
        let mut loops: Vec<(usize, usize)> = Vec::new();
        for (end, block) in blocks.iter().enumerate() {
            for target in &block.branches {
                let Some(start) = blocks.iter().position(|block| block.label == *target) else { continue };
                if start <= end {
                    match loops.iter_mut().find(|(known, _)| *known == start) {
                        Some((_, known)) => *known = end.max(*known),
                        None => loops.push((start, end)),
                    }
                }
            }
        }
        let sum = |keep: &dyn Fn(usize) -> bool| {
            let mut mix = Mix::default();
            blocks.iter().enumerate().filter(|(at, _)| keep(*at)).for_each(|(_, block)| mix.add(block.mix));
            mix
        };
        let within = |at: usize, (start, end): (usize, usize)| (start..=end).contains(&at);
        // The loops that multiply without another inside that does. If there are several, they turn equally often; loops that do no more
        // than add something at last are left out.
        let multiply_adds = |of: (usize, usize)| sum(&|at| within(at, of)).multiply_adds;
        let most = loops.iter().map(|&of| multiply_adds(of)).fold(0.0, f64::max);
        let multiplies = |&of: &(usize, usize)| most > 0.0 && multiply_adds(of) >= most * MIN_SHARE_OF_WORK;
        let multiplying: Vec<_> = loops.iter().copied().filter(multiplies).collect();
        let is_innermost = |&of: &(usize, usize)| {
            !multiplying.iter().any(|&other| other != of && within(other.0, of) && within(other.1, of))
        };
        let inner: Vec<_> = multiplying.iter().copied().filter(is_innermost).collect();
        let is_in = |at: usize| inner.iter().any(|&of| within(at, of));
        let around = |&of: &(usize, usize)| !inner.contains(&of) && inner.iter().any(|inner| within(inner.0, of));
        let around: Vec<_> = loops.iter().copied().filter(around).collect();
        let is_around = |at: usize| around.iter().any(|&of| within(at, of)) && !is_in(at);
        Self { inner: sum(&is_in), outer: sum(&is_around), outside: sum(&|at| !is_in(at) && !is_around(at)) }
    }

    /// Returns the share of the vector instructions of the loop that multiply and add at the full rate.
    pub fn full_rate_share(&self) -> f64 {
        f64::from(self.inner.at_full_rate) / f64::from(self.inner.vector.max(1))
    }

    /// Returns the share of the family's f32 peak that an invocation reaches which makes `made` multiply-adds, `useful` of which the
    /// network needs, if nothing but vector arithmetic takes time.
    pub fn peak_share(&self, useful: f64, made: f64, outer_turns: f64, wave_size: u32, family: Family) -> f64 {
        let turns = if self.inner.multiply_adds > 0.0 { made / self.inner.multiply_adds } else { 0.0 };
        let cycles = f64::from(self.outside.cycles)
            + f64::from(self.outer.cycles) * outer_turns
            + f64::from(self.inner.cycles) * turns;
        useful * f64::from(wave_size) / cycles / family.peak()
    }
}

/// Instructions without a label or a branch between them.
struct Block<'a> {
    label: &'a str,
    branches: Vec<&'a str>,
    mix: Mix,
}

fn blocks(assembly: &str, wave_size: u32, family: Family) -> Vec<Block<'_>> {
    let mut blocks = vec![Block { label: "", branches: Vec::new(), mix: Mix::default() }];
    let mut last = Mix::default();
    for line in assembly.lines() {
        // The words of the instruction follow a semicolon.
        let text = line.split(';').next().unwrap_or_default().trim();
        if let Some(label) = text.strip_suffix(':').filter(|label| label.starts_with("BB")) {
            blocks.push(Block { label, branches: Vec::new(), mix: Mix::default() });
            continue;
        }
        let Some(block) = blocks.last_mut() else { continue };
        if let Some(times) = text.strip_prefix("(then repeated ").and_then(|rest| rest.strip_suffix(" times)")) {
            (0..times.parse().unwrap_or(0)).for_each(|_| block.mix.add(last));
            continue;
        }
        let (name, operands) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if name.starts_with("s_cbranch") || name == "s_branch" {
            block.branches.push(operands.trim());
        }
        last = instruction(name, operands, wave_size, family);
        block.mix.add(last);
    }
    blocks
}

/// Counts one line: an instruction, or two that are issued together.
fn instruction(name: &str, operands: &str, wave_size: u32, family: Family) -> Mix {
    let is_access =
        ["buffer_", "global_", "ds_", "image_", "scratch_", "flat_"].iter().any(|kind| name.starts_with(kind));
    if is_access {
        let is_load = name.contains("load") || name.contains("read");
        let is_narrow = ["u16", "i16", "d16", "u8", "i8", "ushort", "sshort", "ubyte", "sbyte", "short_d16"]
            .iter()
            .any(|kind| name.contains(kind));
        return Mix { vector: 1, narrow_loads: u32::from(is_load && is_narrow), ..Mix::default() };
    }
    if !name.starts_with("v_") || name == "v_nop" {
        return Mix::default();
    }
    if let Some(first) = name.strip_prefix("v_dual_") {
        let second = operands.split("::").nth(1).and_then(|second| second.trim().strip_prefix("v_dual_"));
        let multiply_adds =
            [Some(first), second].into_iter().flatten().filter(|name| name.starts_with("fma")).count() as u32;
        return Mix {
            vector: 1,
            cycles: 1,
            at_full_rate: u32::from(multiply_adds > 0),
            multiply_adds: f64::from(multiply_adds),
            pairs: 1,
            ..Mix::default()
        };
    }
    if name.starts_with("v_wmma") {
        return Mix {
            vector: 1,
            cycles: family.matrix_cycles(),
            at_full_rate: 1,
            multiply_adds: 4096.0 / f64::from(wave_size),
            matrices: 1,
            ..Mix::default()
        };
    }
    let multiply_adds: u32 = match name {
        _ if name.starts_with("v_pk_fma_f16") || name.starts_with("v_dot2") => 2,
        _ if ["v_fma_", "v_fmac_", "v_fmaak_", "v_fmamk_", "v_pk_fmac"].iter().any(|kind| name.starts_with(kind)) => 1,
        _ => 0,
    };
    let one_pass = wave_size == 32 || (family >= Family::Rdna3 && takes_one_pass(name, operands));
    let is_slow = ["v_mul_lo_u32", "v_mul_hi", "v_mul_lo_i32", "v_rcp", "v_sqrt", "v_rsq", "v_exp", "v_log"]
        .iter()
        .any(|kind| name.starts_with(kind));
    // RDNA 2 takes two passes for 64 lanes, as many as it has units for; packed f16 is two sums a lane everywhere.
    let at_full_rate =
        multiply_adds > 0 && (family == Family::Rdna2 || multiply_adds == 2 || (one_pass && wave_size == 64));
    Mix {
        vector: 1,
        cycles: if one_pass { 1 } else { 2 } * if is_slow { 4 } else { 1 },
        at_full_rate: u32::from(at_full_rate),
        multiply_adds: f64::from(multiply_adds),
        conversions: u32::from(name.starts_with("v_cvt")),
        ..Mix::default()
    }
}

/// Returns whether RDNA 3 issues an instruction for all 64 lanes of a wave at once. ACO, RADV's compiler, reckons with the same.
fn takes_one_pass(name: &str, operands: &str) -> bool {
    let name = name.trim_end_matches("_e32").trim_end_matches("_e64");
    match name {
        "v_fma_mix_f32" => {
            // The addend has to be f32, and one of three operands no vector register, or the same as another.
            let (registers, flags) = operands.split_once("op_sel").unwrap_or((operands, ""));
            let addend_is_f16 = flags
                .split_once("_hi:[")
                .and_then(|(_, flags)| flags.split(']').next())
                .is_some_and(|flags| flags.split(',').nth(2) == Some("1"));
            let sources: Vec<&str> = registers.split(',').skip(1).map(str::trim).collect();
            let is_vector = |source: &str| source.trim_start_matches(['-', '|']).starts_with('v');
            let repeats = (1..sources.len()).any(|at| sources[..at].contains(&sources[at]));
            !addend_is_f16 && (repeats || sources.iter().any(|source| !is_vector(source)))
        }
        _ => [
            "v_fma_f32",
            "v_fmac_f32",
            "v_fmaak_f32",
            "v_fmamk_f32",
            "v_mul_f32",
            "v_add_f32",
            "v_sub_f32",
            "v_subrev_f32",
            "v_fma_f16",
            "v_fmac_f16",
            "v_fmaak_f16",
            "v_fmamk_f16",
            "v_mul_f16",
            "v_add_f16",
            "v_sub_f16",
            "v_mov_b32",
            "v_cndmask_b32",
            "v_max_f32",
            "v_min_f32",
            "v_max_f16",
            "v_min_f16",
            "v_writelane_b32",
            "v_dot2_f32_f16",
            "v_dot2_f16_f16",
            "v_dot2c_f32_f16",
            "v_dot2acc_f32_f16",
        ]
        .contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loop in a loop, as RADV prints them.
    const NESTED: &str = "\
BB0:
\tv_mov_b32_e32 v0, 0                                         ; 7e000280
BB1:
\tbuffer_load_b128 v[4:7], v8, s[0:3], 0 offen                ; e05c0000 80400408
BB2:
\tv_fma_mix_f32 v1, s4, v2, v1 op_sel_hi:[1,1,0]              ; cc200001 1c060404
\t(then repeated 2 times)
\tv_cvt_f32_f16_e32 v3, v4                                    ; 7e061704
\ts_cbranch_scc1 BB2                                          ; bfa2fffc
BB3:
\tv_add_f32_e32 v1, v1, v2                                    ; 06020501
\ts_cbranch_scc0 BB1                                          ; bfa1fff0
BB4:
\tds_load_u16_d16 v9, v8                                      ; d8000000
\ts_endpgm                                                    ; bfb00000
";

    #[test]
    fn instructions_are_counted_by_the_loop_they_are_in() {
        let code = Code::read(NESTED, 64, Family::Rdna3);
        assert_eq!((code.inner.vector, code.inner.multiply_adds, code.inner.conversions), (4, 3.0, 1));
        assert_eq!((code.outer.vector, code.outer.cycles), (2, 1));
        assert_eq!((code.outside.vector, code.outside.narrow_loads), (2, 1));
        // Three sums in one pass each, and a conversion in two.
        assert_eq!((code.inner.cycles, code.inner.at_full_rate), (5, 3));
        assert_eq!(code.full_rate_share(), 0.75);
        // 1 cycle outside, 2 turns of 1 cycle around, 4 turns of 5 cycles within: 23 cycles for 12 sums of 64 lanes.
        let share = code.peak_share(12.0, 12.0, 2.0, 64, Family::Rdna3);
        assert!((share - 12.0 / 23.0).abs() < 1e-9, "{share}");
    }

    #[test]
    fn waves_of_32_lanes_reach_the_full_rate_on_rdna_3_only_in_pairs() {
        let rate = |line: &str, wave_size, family| {
            let (name, operands) = line.split_once(' ').unwrap_or((line, ""));
            let mix = instruction(name, operands, wave_size, family);
            (mix.at_full_rate, mix.cycles, mix.multiply_adds)
        };
        let mixed = "v_fma_mix_f32 v1, s4, v2, v1 op_sel_hi:[1,1,0]";
        assert_eq!(rate(mixed, 32, Family::Rdna3), (0, 1, 1.0));
        assert_eq!(rate(mixed, 64, Family::Rdna3), (1, 1, 1.0));
        assert_eq!(rate(mixed, 32, Family::Rdna2), (1, 1, 1.0));
        // Three different vector registers are read in two passes.
        assert_eq!(rate("v_fma_mix_f32 v1, v4, v2, v1 op_sel_hi:[1,1,0]", 64, Family::Rdna3), (0, 2, 1.0));
        assert_eq!(rate("v_dual_fmac_f32 v0, s1, v2 :: v_dual_fmac_f32 v1, s3, v4", 32, Family::Rdna3), (1, 1, 2.0));
        assert_eq!(rate("v_pk_fma_f16 v1, s4, v2, v1", 64, Family::Rdna3), (1, 2, 2.0));
        assert_eq!(rate("v_wmma_f32_16x16x16_f16 v[0:3], v[4:11], v[12:19], v[0:3]", 64, Family::Rdna4), (1, 16, 64.0));
    }
}
