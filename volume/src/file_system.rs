//! The kind of file system a volume lies on, where that makes a difference.

use std::io;

use crate::volume::Volume;

/// File systems that several machines share, by their number in `statfs(2)`.
const SHARED: [(u64, &str); 14] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    // Also virtiofs.
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x786f_4256, "VirtualBox's shared folders"),
];

/// What such a file system fails to do, as text for the operator that follows its name.
pub const UNTOLD: &str = "which does not tell of what other machines change there";

impl Volume {
    /// The name of the volume's file system, if other machines may change files on it without a notice to this one: inotify(7) reports only
    /// what is done through this machine's kernel.
    pub fn shared_file_system(&self) -> io::Result<Option<&'static str>> {
        let kind = rustix::fs::fstatfs(self.root())?.f_type;
        #[expect(clippy::cast_sign_loss, reason = "the numbers are of 32 bits")]
        let kind = (kind as u64) & 0xffff_ffff;
        Ok(SHARED.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name))
    }
}
