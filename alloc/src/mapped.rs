//! placeholder
use std::sync::atomic::AtomicU64;
use std::path::Path;
/// Words.
pub struct SharedWords(Box<[AtomicU64]>);
impl SharedWords {
    /// A.
    pub fn anonymous(n: usize) -> std::io::Result<Self> { Ok(Self((0..n).map(|_| AtomicU64::new(0)).collect())) }
    /// C.
    pub fn create(_: &Path, n: usize) -> std::io::Result<Self> { Self::anonymous(n) }
    /// L.
    pub fn leak(self) -> &'static [AtomicU64] { Box::leak(self.0) }
}
