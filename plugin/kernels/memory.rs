//! A file that remembers the fastest kernels of each adapter and driver.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bevy::log::warn;
use bevy::render::renderer::RenderAdapter;

use crate::inference::variant::KernelVariant;

/// Largest file that is read, in bytes: far more than a machine has adapters.
const MAX_BYTES: u64 = 1 << 20;

/// One adapter's entry in the file: JSON, `{"<adapter and driver>": <KernelVariant>, …}`.
#[derive(Clone, Debug)]
pub(crate) struct KernelMemory {
    path: PathBuf,
    key: String,
}

impl KernelMemory {
    pub fn new(path: &Path, adapter: &RenderAdapter) -> Self {
        let info = adapter.get_info();
        // Other releases of the plugin have other kernels.
        let key = format!(
            "{} {:04x}:{:04x}, {} {}, {:?}, {}",
            info.name,
            info.vendor,
            info.device,
            info.driver,
            info.driver_info,
            info.backend,
            env!("CARGO_PKG_VERSION")
        );
        Self { path: path.into(), key }
    }

    /// Returns the kernels that are remembered for this adapter.
    pub fn recall(&self) -> Option<KernelVariant> {
        self.entries().get(&self.key).copied()
    }

    /// Adds the entry. A file that cannot be written costs a trial at the next start, so it is only a warning.
    pub fn remember(&self, variant: KernelVariant) {
        let mut entries = self.entries();
        entries.insert(self.key.clone(), variant);
        if let Err(error) = self.write(&entries) {
            warn!("portrait realism: cannot remember the fastest kernels in {}: {error}", self.path.display());
        }
    }

    /// Reads the entries. There are none if the file is missing or is not what it should be.
    fn entries(&self) -> BTreeMap<String, KernelVariant> {
        let small = fs::metadata(&self.path).is_ok_and(|file| file.is_file() && file.len() <= MAX_BYTES);
        let bytes = if small { fs::read(&self.path).unwrap_or_default() } else { Vec::new() };
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn write(&self, entries: &BTreeMap<String, KernelVariant>) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        // A torn file is no harm: it cannot be read, and is made anew.
        fs::write(&self.path, serde_json::to_string_pretty(entries)? + "\n")
    }
}
