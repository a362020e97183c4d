//! stand-in
use std::io;
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject { pub name: String, pub len: u64 }
pub trait BackupTarget: Send + Sync {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError>;
    fn get(&self, name: &str, limit: usize) -> Result<Vec<u8>, TargetError>;
    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError>;
    fn delete(&self, name: &str) -> Result<(), TargetError>;
    fn name(&self) -> &str;
}
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    #[error("{name} is there already")] Exists { name: String },
    #[error("{name} is not there")] Absent { name: String },
    #[error("{name} has {len} bytes, more than {limit}")] TooLarge { name: String, len: u64, limit: usize },
    #[error("{name}: {why}")] Refused { name: String, why: String },
    #[error("full")] Full,
    #[error("{what}")] Io { what: String, source: io::Error },
}
#[derive(Debug)] pub struct FolderTarget { dir: std::path::PathBuf, name: String }
impl FolderTarget {
  pub fn create(dir: impl AsRef<std::path::Path>) -> Result<Self, TargetError> { let dir = dir.as_ref().to_owned(); std::fs::create_dir_all(&dir).unwrap(); Ok(Self { name: dir.display().to_string(), dir }) }
  pub fn open(dir: impl AsRef<std::path::Path>) -> Result<Self, TargetError> { Self::create(dir) }
}
impl BackupTarget for FolderTarget {
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> { let p = self.dir.join(name); std::fs::create_dir_all(p.parent().unwrap()).unwrap(); if p.exists() { return Err(TargetError::Exists { name: name.into() }) } std::fs::write(p, bytes).unwrap(); Ok(()) }
    fn get(&self, name: &str, _limit: usize) -> Result<Vec<u8>, TargetError> { std::fs::read(self.dir.join(name)).map_err(|_| TargetError::Absent { name: name.into() }) }
    fn list(&self, prefix: &str, each: &mut dyn FnMut(StoredObject)) -> Result<(), TargetError> {
        fn walk(root: &std::path::Path, d: &std::path::Path, out: &mut Vec<(String, u64)>) { for e in std::fs::read_dir(d).into_iter().flatten().flatten() { if e.path().is_dir() { walk(root, &e.path(), out) } else { out.push((e.path().strip_prefix(root).unwrap().display().to_string(), e.metadata().unwrap().len())) } } }
        let mut all = vec![]; walk(&self.dir, &self.dir, &mut all); all.sort(); for (name, len) in all { if name.starts_with(prefix) { each(StoredObject { name, len }) } } Ok(()) }
    fn delete(&self, name: &str) -> Result<(), TargetError> { std::fs::remove_file(self.dir.join(name)).unwrap(); Ok(()) }
    fn name(&self) -> &str { &self.name }
}
