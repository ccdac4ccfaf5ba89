//! LibTorch's binding and nv-flip each bring a copy of stb_image_write; either will do.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_TCH").is_some() {
        println!("cargo::rustc-link-arg=-Wl,--allow-multiple-definition");
    }
}
