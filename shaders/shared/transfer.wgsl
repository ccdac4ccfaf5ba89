// sRGB transfer functions (IEC 61966-2-1) for three channels. Rust: `portrait_network::transfer`.
#define_import_path portrait::transfer

// Converts linear 0-1 to display-referred sRGB 0-1.
fn srgb_encode(linear: vec3<f32>) -> vec3<f32> {
    let low = linear * 12.92;
    let high = 1.055 * pow(max(linear, vec3<f32>(0.0031308)), vec3<f32>(1.0 / 2.4)) - 0.055;
    return select(high, low, linear <= vec3<f32>(0.0031308));
}

// Converts display-referred sRGB 0-1 to linear 0-1.
fn srgb_decode(srgb: vec3<f32>) -> vec3<f32> {
    let low = srgb / 12.92;
    let high = pow((max(srgb, vec3<f32>(0.04045)) + 0.055) / 1.055, vec3<f32>(2.4));
    return select(high, low, srgb <= vec3<f32>(0.04045));
}

// Returns a linear colour as a screen shows it: brighter than white is white, and darker than black is black. NaN is black as well, since the
// network would spread it over its surroundings; its bits tell, since compilers may assume in comparisons that there is no NaN.
fn shown(linear: vec3<f32>) -> vec3<f32> {
    let magnitude = bitcast<vec3<u32>>(linear) & vec3<u32>(0x7fffffffu);
    return select(saturate(linear), vec3<f32>(0.0), magnitude > vec3<u32>(0x7f800000u));
}
