//! Child processes that never outlive the test: each has a process group of its own, which dies on drop,
//! and a guard that kills it and removes its folder when the test process ends without dropping anything.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::net::wait_until;

/// A running server in a process group of its own.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    guard: Option<Child>,
    ended: Option<ExitStatus>,
}

impl Server {
    /// Starts the command. `folder` is removed by the guard if the test process is killed.
    pub(crate) fn spawn(command: &mut Command, folder: &Path) -> std::io::Result<Self> {
        let mut child = command.process_group(0).spawn()?;
        let guard = guard(child.id(), folder).inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })?;
        Ok(Self { child, guard: Some(guard), ended: None })
    }

    /// The process ID, which is also that of the group.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, once it has ended.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group(), signal);
        if signal == Signal::STOP {
            // A thread that is running stops a little later, and answers until then.
            wait_until(Duration::from_secs(10), || self.is_stopped());
        }
    }

    fn is_stopped(&self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.id())) else { return true };
        threads.flatten().all(|thread| {
            let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
        })
    }

    /// Asks it to end with SIGTERM and waits; kills it when it has not ended after `patience`.
    pub(crate) fn terminate(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
        wait_until(patience, || self.status().is_some());
        self.kill();
        self.ended
    }

    pub(crate) fn kill(&mut self) {
        // The group may outlive its leader: browsers leave helpers behind.
        self.signal(Signal::KILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
        if let Some(mut guard) = self.guard.take() {
            let _ = guard.kill();
            let _ = guard.wait();
        }
    }

    fn group(&self) -> Pid {
        let id = i32::try_from(self.child.id()).expect("process IDs fit an i32");
        Pid::from_raw(id).expect("a child has a process ID")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A shell that waits for the end of its input, which comes when this process dies, however it dies.
fn guard(group: u32, folder: &Path) -> std::io::Result<Child> {
    Command::new("/bin/sh")
        .args(["-c", "trap '' TERM INT HUP; read _; kill -s KILL -- \"-$1\" 2>/dev/null; rm -rf -- \"$2\"", "guard"])
        .arg(group.to_string())
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// Finds a program in PATH and in the given folders. Panics with the package that has it.
pub(crate) fn program(name: &str, folders: &[&str], package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders
        .iter()
        .map(PathBuf::from)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is missing: it is in the package {package}; run scripts/install"))
}

/// Runs a helper program to its end, and panics with its output when it fails.
pub(crate) fn run(command: &mut Command, input: Option<&[u8]>) -> String {
    let (status, stdout, stderr) = output(command, input);
    assert!(status.success(), "{} failed with {status}\n{stdout}{stderr}", command.get_program().display());
    stdout
}

/// Runs a helper program to its end.
pub(crate) fn output(command: &mut Command, input: Option<&[u8]>) -> (ExitStatus, String, String) {
    use std::io::Write;
    let mut child = command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", command.get_program().display()));
    let feeder = child.stdin.take().zip(input.map(<[u8]>::to_vec)).map(|(mut stdin, bytes)| {
        std::thread::spawn(move || {
            let _ = stdin.write_all(&bytes);
        })
    });
    let output = child.wait_with_output().expect("wait for a child");
    if let Some(feeder) = feeder {
        let _ = feeder.join();
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status, text(&output.stdout), text(&output.stderr))
}

/// A temporary folder named after what it is for. With `KEEP_TEST_FOLDERS` set it stays, to look at.
pub(crate) fn folder(prefix: &str) -> tempfile::TempDir {
    let mut folder =
        tempfile::Builder::new().prefix(&format!("bindery-{prefix}-")).tempdir().expect("make a temporary folder");
    folder.disable_cleanup(std::env::var_os("KEEP_TEST_FOLDERS").is_some());
    folder
}

/// Whether this process is root, which some servers refuse to be and Chromium's sandbox dislikes.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command, as an unprivileged user when this process is root.
pub(crate) fn command_as(user: &str, program: impl AsRef<OsStr>) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--init-groups", "--"]).arg(program);
    command
}
