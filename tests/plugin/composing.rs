//! Composes a shipped shader as Bevy does, without a device.

use std::collections::HashMap;

use bevy::shader::ShaderDefVal;
use bevy_portrait_realism::internals::shaders::{SHARED, ShaderFile};
use naga::valid::Capabilities;
use naga_oil::compose::{ComposableModuleDescriptor, Composer, NagaModuleDescriptor, ShaderDefValue};

/// Returns the shader as naga has it, or the composer's message.
pub fn compose(file: ShaderFile, defs: &[ShaderDefVal], capabilities: Capabilities) -> Result<naga::Module, String> {
    let mut composer = Composer::default().with_capabilities(capabilities);
    for library in SHARED {
        let descriptor =
            ComposableModuleDescriptor { source: library.source, file_path: library.path, ..Default::default() };
        if let Err(error) = composer.add_composable_module(descriptor) {
            return Err(format!("{}: {}", library.path, error.emit_to_string(&composer)));
        }
    }
    let shader_defs: HashMap<String, ShaderDefValue> = defs
        .iter()
        .map(|def| match def.clone() {
            ShaderDefVal::Bool(name, value) => (name, ShaderDefValue::Bool(value)),
            ShaderDefVal::Int(name, value) => (name, ShaderDefValue::Int(value)),
            ShaderDefVal::UInt(name, value) => (name, ShaderDefValue::UInt(value)),
        })
        .collect();
    let descriptor =
        NagaModuleDescriptor { source: file.source, file_path: file.path, shader_defs, ..Default::default() };
    composer.make_naga_module(descriptor).map_err(|error| error.emit_to_string(&composer))
}
