//! Normalisation of the network's input, and the sRGB transfer functions.

/// Value that is subtracted from colour before the first layer.
pub const COLOR_CENTER: f32 = 0.5;
/// Factor on colour after centring, so that 0–1 becomes −1–1.
pub const COLOR_SCALE: f32 = 2.0;

/// Converts display-referred sRGB, 0–1, to what the first layer reads, −1–1.
pub fn normalize_color(srgb: f32) -> f32 {
    (srgb - COLOR_CENTER) * COLOR_SCALE
}

/// Converts linear 0–1 to sRGB 0–1 (IEC 61966-2-1).
pub fn srgb_encode(linear: f32) -> f32 {
    if linear <= 0.003_130_8 { linear * 12.92 } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

/// Converts sRGB 0–1 to linear 0–1 (IEC 61966-2-1).
pub fn srgb_decode(srgb: f32) -> f32 {
    if srgb <= 0.040_45 { srgb / 12.92 } else { ((srgb + 0.055) / 1.055).powf(2.4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn srgb_round_trip_is_exact_to_a_millionth() {
        for step in 0..=255 {
            let value = step as f32 / 255.0;
            assert!((srgb_encode(srgb_decode(value)) - value).abs() < 1e-6, "at {value}");
        }
    }

    #[test]
    fn srgb_known_values() {
        assert!((srgb_decode(0.5) - 0.214_041).abs() < 1e-5);
        assert!((srgb_encode(0.18) - 0.461_356).abs() < 1e-5);
    }
}
