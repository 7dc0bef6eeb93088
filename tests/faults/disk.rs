//! A disk that is full: the checkouts, the store and the manifests lie on a small file system of their own.

use std::path::Path;
use std::process::Command;

use crate::cases;
use crate::processes::{end_marked, start, wait};
use crate::report::{Fate, skipped};
use crate::sweep::sweep;

/// A file system in memory that is unmounted when dropped.
pub struct Disk {
    at: std::path::PathBuf,
}

impl Disk {
    fn mount(at: &Path) -> Option<Disk> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Disk { at: at.to_path_buf() })
    }

    fn resize(&self, kib: u64) -> bool {
        let size = format!("remount,size={kib}k");
        let resized = Command::new("mount").args(["-o", &size]).arg(&self.at).output();
        resized.is_ok_and(|output| output.status.success())
    }

    fn used(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.at).expect("the disk tells");
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize / 1024
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}

#[test]
fn full() {
    let probe = tempfile::tempdir().unwrap();
    if Disk::mount(probe.path()).is_none() {
        return skipped("full disk", "only root may mount a small file system");
    }
    sweep("full disk", &cases::all(), "FAULTS_DISK", 10, 2, |rig, case, _, random| {
        if rig.disk.is_none() {
            rig.disk = Disk::mount(&rig.live());
        }
        rig.set_up(case);
        let disk = rig.disk.as_ref().expect("the disk is mounted");
        let room = random.u64(0..if case.name.starts_with("cold") { 800 } else { 100 });
        if !disk.resize(disk.used() + room) {
            return (format!("{}: no disk of that size", case.name), Fate::Missed);
        }
        let run = wait(start(&mut rig.command(case.args), rig.world.root()), rig.world.root());
        end_marked(rig.world.root());
        assert!(disk.resize(64 << 10), "the disk grows again");
        let what = format!("{}: room for {room} KiB: exit {:?}", case.name, run.code);
        match rig.judge(case, &run) {
            Fate::Healed if run.code == Some(0) => (what, Fate::Missed),
            fate => (format!("{what}: {}", run.stderr.lines().next().unwrap_or_default()), fate),
        }
    });
}
