//! A volume in a temporary folder, with something outside that must never be read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use volume::{Blocking, FindError, Found, FoundFile, RelPath, Volume};

pub const CANARY: &str = "canary-that-never-sings";

pub struct Place {
    /// Holds the volume's folder and, beside it, the outside.
    pub folder: TempDir,
    pub volume: Volume,
}

/// Runs a test with each way of looking up.
pub fn both_ways(test: impl Fn(Place)) {
    test(Place::new());
    let place = Place::new();
    test(Place { volume: place.volume.without_openat2(), ..place });
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let volume = Volume::open(&folder.path().join("volume")).unwrap();
        let place = Place { folder, volume };
        write(&place.outside("canary.txt"), CANARY);
        place
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("volume").join(path)
    }

    pub fn outside(&self, path: &str) -> PathBuf {
        self.folder.path().join("outside").join(path)
    }

    pub fn put(&self, path: &str, content: &str) {
        write(&self.path(path), content);
    }

    pub fn link(&self, target: &str, at: &str) {
        fs::create_dir_all(self.path(at).parent().unwrap()).unwrap();
        symlink(target, self.path(at)).unwrap();
    }

    pub fn find(&self, path: &str) -> Result<Found, FindError> {
        self.volume.find(&rel(path), Blocking::MayBlock)
    }

    pub fn file(&self, path: &str) -> FoundFile {
        match self.find(path).unwrap() {
            Found::File(file) => file,
            Found::Folder(_) => panic!("{path} is a folder"),
        }
    }
}

pub fn rel(path: &str) -> RelPath {
    RelPath::from_plain(path.as_bytes()).unwrap()
}

pub fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub fn read(file: &FoundFile) -> String {
    std::io::read_to_string(file.open().unwrap()).unwrap()
}

/// Waits for a value, with a deadline.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not come about");
        // What is waited for needs the processors too.
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
