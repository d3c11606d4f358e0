//! Owners of files, and giving files to the service. Needs root: without it there is one owner only.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use volume::Volume;
use volume::owner::{Foreign, Owner, Owners, of_service};

const SERVICE: Owner = Owner { user: 900, group: 901 };

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("not root: owners can't be changed here");
    }
    is_root
}

fn look(folder: &Path, what: Foreign) -> Owners {
    let volume = Volume::open(folder).unwrap();
    let mut last = Owners::default();
    volume
        .owners(SERVICE, what, &mut |it| {
            last = it.clone();
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(last.is_done);
    last
}

fn owner(path: &Path) -> (u32, u32) {
    let stat = fs::symlink_metadata(path).unwrap();
    (stat.uid(), stat.gid())
}

#[test]
fn the_service_is_the_owner_of_its_folder_or_of_the_volume() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert_eq!(of_service(path), None);
    assert_eq!(of_service(&path.join("missing")), None);
    chown(path, Some(900), Some(901)).unwrap();
    assert_eq!(of_service(path), Some(SERVICE));
    fs::create_dir(path.join(".sounding")).unwrap();
    assert_eq!(of_service(path), Some(SERVICE), "root made it for the service");
    chown(path.join(".sounding"), Some(77), Some(78)).unwrap();
    assert_eq!(of_service(path), Some(Owner { user: 77, group: 78 }));
}

#[test]
fn all_on_the_volume_is_given_to_the_service_and_nothing_else() {
    if !is_root() {
        return;
    }
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path();
    for name in ["run", "run/.hidden", "shared", "lost+found", ".sounding"] {
        fs::create_dir(path.join(name)).unwrap();
    }
    for file in ["run/a.csv", "run/.hidden/b", "shared/c", ".sounding/journal.sqlite", "ours"] {
        fs::write(path.join(file), "x").unwrap();
    }
    fs::write(other.path().join("outside"), "x").unwrap();
    symlink(other.path(), path.join("run/folder-outside")).unwrap();
    symlink(other.path().join("outside"), path.join("run/file-outside")).unwrap();
    chown(path.join("ours"), Some(900), Some(5)).unwrap();
    // Owned by another user, as rsync leaves it, and a set-group-ID folder.
    lchown(path.join("run/a.csv"), Some(1000), Some(1000)).unwrap();
    chown(path.join("shared"), None, Some(50)).unwrap();
    fs::set_permissions(path.join("shared"), fs::Permissions::from_mode(0o2775)).unwrap();
    chown(path.join("shared/c"), None, Some(50)).unwrap();

    let counted = look(path, Foreign::Count);
    assert_eq!((counted.seen, counted.foreign, counted.failed), (12, 11, 0));
    assert_eq!(owner(&path.join("run")), (0, 0), "a count changes nothing");
    let mended = look(path, Foreign::Mend);
    assert_eq!((mended.foreign, mended.mended, mended.failed), (11, 11, 0));
    assert_eq!(look(path, Foreign::Count).foreign, 0);

    for name in ["", "run", "run/a.csv", "run/.hidden/b", "run/file-outside", ".sounding"] {
        assert_eq!(owner(&path.join(name)), (900, 901), "{name}");
    }
    assert_eq!(owner(&path.join("shared/c")), (900, 50));
    assert_eq!(owner(&path.join("ours")), (900, 5), "what is the service's own stays as it is");
    assert_eq!(owner(&path.join("lost+found")), (0, 0));
    assert_eq!(owner(other.path()), (0, 0));
    assert_eq!(owner(&other.path().join("outside")), (0, 0));
}
