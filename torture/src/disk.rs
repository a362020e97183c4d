//! A disk as a journal of effects: what was synced is there for certain, what was not may be there, wholly, in part, in
//! any order, or not at all. From a recorded run it gives every image that a power cut could have left.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bench::files_in;
use crate::rng::Rng;
use crate::tracer::What;

/// What a disk promises. In all of them `fsync` makes a file's contents durable, and a directory's `fsync` its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// `sync_file_range` makes its range durable.
    Range,
    /// It does so only within the length that was synced before.
    RangeWithinLength,
    /// It promises nothing.
    SyncOnly,
}

pub const MODELS: [Model; 3] = [Model::Range, Model::RangeWithinLength, Model::SyncOnly];

/// What becomes of the effects that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    AllLost,
    AllKept,
    /// Names and lengths are kept, contents are lost.
    ContentsLost,
    /// Contents are kept, names are lost.
    NamesLost,
    /// Each sector of this many bytes, each name and each length is kept so many times in a hundred.
    Torn {
        sector: usize,
        kept: usize,
    },
}

/// A directory (`None`) or a file's contents, by its path below the top.
pub type Image = Vec<(PathBuf, Option<Arc<Vec<u8>>>)>;

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, data: Arc<Vec<u8>> },
    Length(usize),
}

#[derive(Clone, Debug)]
struct FileOp {
    call: u64,
    change: Change,
    done: bool,
    synced: bool,
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Arc<Vec<u8>>,
    pending: Vec<FileOp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Clone, Debug)]
enum Naming {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Node),
}

#[derive(Clone, Debug)]
struct NameOp {
    naming: Naming,
    synced: bool,
}

type Names = BTreeMap<PathBuf, Node>;

/// One disk under one model.
pub struct Disk {
    model: Model,
    top: PathBuf,
    files: Vec<File>,
    durable: Names,
    pending: Vec<NameOp>,
    /// As the running process sees it.
    current: Names,
    /// Syncs and namings that have begun, by call, with what they will do.
    begun: BTreeMap<u64, What>,
}

impl Disk {
    /// A disk on which a directory's contents are durable.
    pub fn load(model: Model, top: &Path, vault: &Path) -> io::Result<Self> {
        let mut disk = Self {
            model,
            top: top.to_owned(),
            files: Vec::new(),
            durable: Names::from([(top.to_owned(), Node::Dir)]),
            pending: Vec::new(),
            current: Names::new(),
            begun: BTreeMap::new(),
        };
        if vault.exists() {
            disk.durable.insert(vault.to_owned(), Node::Dir);
            for file in files_in(vault)? {
                let path = vault.join(&file);
                let mut dir = path.parent();
                while let Some(parent) = dir.filter(|parent| *parent != vault) {
                    disk.durable.insert(parent.to_owned(), Node::Dir);
                    dir = parent.parent();
                }
                disk.files.push(File { durable: Arc::new(fs::read(&path)?), pending: Vec::new() });
                disk.durable.insert(path, Node::File(disk.files.len() - 1));
            }
        }
        disk.current = disk.durable.clone();
        Ok(disk)
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        match self.current.get(path) {
            Some(Node::File(number)) => self.files.get_mut(*number),
            _ => None,
        }
    }

    /// A call begins: what it writes may reach the disk from now on.
    pub fn enter(&mut self, call: u64, what: &What) {
        let change = match what {
            What::Write { offset, data, .. } => {
                Change::Write { offset: *offset as usize, data: Arc::new(data.clone()) }
            }
            What::Truncate { len, .. } => Change::Length(*len as usize),
            What::Create { existed: true, empties: true, .. } => Change::Length(0),
            _ => {
                self.begun.insert(call, what.clone());
                return;
            }
        };
        if let Some(file) = what.path().and_then(|path| self.file(path)) {
            file.pending.push(FileOp { call, change, done: false, synced: false });
        }
        self.begun.insert(call, What::Open { path: what.path().unwrap_or(Path::new("")).to_owned() });
    }

    /// A call came back.
    pub fn leave(&mut self, call: u64, result: i64) {
        let Some(what) = self.begun.remove(&call) else { return };
        for file in &mut self.files {
            if result < 0 {
                file.pending.retain(|op| op.call != call);
            }
            file.pending.iter_mut().filter(|op| op.call == call).for_each(|op| op.done = true);
        }
        if result < 0 {
            return;
        }
        match what {
            What::Sync { path } => self.sync(&path),
            What::Range { path } => self.range(&path),
            What::Create { path, existed: false, .. } => {
                self.files.push(File::default());
                self.name(Naming::Add(path, Node::File(self.files.len() - 1)));
            }
            What::MakeDir { path } => self.name(Naming::Add(path, Node::Dir)),
            What::Remove { path, .. } => self.name(Naming::Remove(path)),
            What::Rename { from, to } => {
                if let Some(node) = self.current.get(&from).copied() {
                    self.name(Naming::Rename(from, to, node));
                }
            }
            _ => {}
        }
    }

    fn name(&mut self, naming: Naming) {
        apply(&mut self.current, &naming);
        self.pending.push(NameOp { naming, synced: false });
    }

    fn sync(&mut self, path: &Path) {
        if let Some(file) = self.file(path) {
            file.pending.iter_mut().filter(|op| op.done).for_each(|op| op.synced = true);
            return file.fold();
        }
        for op in &mut self.pending {
            op.synced |= op.naming.paths().iter().any(|named| named.parent() == Some(path));
        }
        while self.pending.first().is_some_and(|op| op.synced) {
            let op = self.pending.remove(0);
            apply(&mut self.durable, &op.naming);
        }
    }

    fn range(&mut self, path: &Path) {
        let model = self.model;
        let Some(file) = self.file(path) else { return };
        let len = file.durable.len();
        for op in file.pending.iter_mut().filter(|op| op.done) {
            let Change::Write { offset, data } = &op.change else { continue };
            op.synced |= match model {
                Model::Range => true,
                Model::RangeWithinLength => offset + data.len() <= len,
                Model::SyncOnly => false,
            };
        }
        file.fold();
    }

    /// What is on the disk if the power goes now.
    pub fn image(&self, fate: Fate, rng: &mut Rng) -> Image {
        let mut names = self.durable.clone();
        for op in &self.pending {
            let kept = match fate {
                Fate::AllLost | Fate::NamesLost => false,
                Fate::AllKept | Fate::ContentsLost => true,
                Fate::Torn { kept, .. } => rng.percent(kept),
            };
            if op.synced || kept {
                apply(&mut names, &op.naming);
            }
        }
        let reachable = |path: &Path| {
            path.ancestors()
                .skip(1)
                .take_while(|dir| dir.starts_with(&self.top))
                .all(|dir| names.get(dir) == Some(&Node::Dir))
        };
        let mut image = Image::new();
        for (path, node) in &names {
            let Ok(inside) = path.strip_prefix(&self.top) else { continue };
            if inside.as_os_str().is_empty() || !reachable(path) {
                continue;
            }
            let contents = match node {
                Node::Dir => None,
                Node::File(number) => self.files.get(*number).map(|file| file.contents(fate, rng)),
            };
            image.push((inside.to_owned(), contents));
        }
        image
    }
}

impl Naming {
    fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Add(path, _) | Self::Remove(path) => vec![path],
            Self::Rename(from, to, _) => vec![from, to],
        }
    }
}

fn apply(names: &mut Names, naming: &Naming) {
    match naming {
        Naming::Add(path, node) => {
            names.insert(path.clone(), *node);
        }
        Naming::Remove(path) => {
            names.remove(path);
        }
        Naming::Rename(from, to, node) => {
            names.remove(from);
            names.insert(to.clone(), *node);
        }
    }
}

impl File {
    /// Takes what is durable out of the list.
    fn fold(&mut self) {
        let synced = self.pending.iter().take_while(|op| op.synced).count();
        if synced == 0 {
            return;
        }
        let durable = Arc::make_mut(&mut self.durable);
        for op in self.pending.drain(..synced) {
            match op.change {
                Change::Write { offset, data } => put(durable, offset, &data),
                Change::Length(len) => durable.resize(len, 0),
            }
        }
    }

    fn contents(&self, fate: Fate, rng: &mut Rng) -> Arc<Vec<u8>> {
        if self.pending.is_empty() {
            return Arc::clone(&self.durable);
        }
        let mut bytes = (*self.durable).clone();
        for op in &self.pending {
            match (&op.change, fate) {
                (Change::Length(len), _) if op.synced => bytes.resize(*len, 0),
                (Change::Length(len), Fate::AllKept | Fate::ContentsLost | Fate::NamesLost) => bytes.resize(*len, 0),
                (Change::Length(len), Fate::Torn { kept, .. }) if rng.percent(kept) => bytes.resize(*len, 0),
                (Change::Length(_), _) => {}
                (Change::Write { offset, data }, _) if op.synced => put(&mut bytes, *offset, data),
                (Change::Write { offset, data }, Fate::AllKept | Fate::NamesLost) => put(&mut bytes, *offset, data),
                (Change::Write { offset, data }, Fate::ContentsLost) => {
                    // The file has become longer, and holds zeros there.
                    let end = offset + data.len();
                    bytes.resize(bytes.len().max(end), 0);
                }
                (Change::Write { .. }, Fate::AllLost) => {}
                (Change::Write { offset, data }, Fate::Torn { sector, kept }) => {
                    let mut at = 0;
                    while at < data.len() {
                        let end = ((offset + at) / sector * sector + sector - offset).min(data.len());
                        if rng.percent(kept) {
                            put(&mut bytes, offset + at, &data[at..end]);
                        }
                        at = end;
                    }
                }
            }
        }
        Arc::new(bytes)
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

/// Writes an image out.
pub fn lay_out(image: &Image, dir: &Path) -> io::Result<()> {
    for (path, contents) in image {
        let path = dir.join(path);
        match contents {
            None => fs::create_dir_all(path)?,
            Some(bytes) => fs::write(path, bytes.as_slice())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
