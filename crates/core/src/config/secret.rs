//! Strings that come from elsewhere: `{ env = "NAME" }`, `{ file = "/path" }`, `{ command = ["prog", "arg"] }`.
//!
//! Read once, at load; one trailing newline is dropped; bounded in size and time. What goes wrong is told
//! without the text.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::env::Environment;

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// How much a file or a command may give.
const MAX_SIZE: u64 = 1024 * 1024;

/// The value of an environment variable.
pub(super) fn from_env(name: &str, environment: &Environment) -> Result<String, String> {
    environment
        .get(name)
        .map(|value| without_newline(value.to_owned()))
        .ok_or_else(|| format!("the environment variable {name} is not set"))
}

/// The contents of a file.
pub(super) fn from_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot read the file {shown}: {error}"))?;
    read_bounded(file).map_err(|problem| format!("the file {shown} {problem}"))
}

/// What a command prints. It runs in the configuration file's folder, without input.
pub(super) fn from_command(command: &[String], directory: &Path) -> Result<String, String> {
    let [program, arguments @ ..] = command else {
        return Err("the command is empty".to_owned());
    };
    // A relative path lies beside the configuration file; a bare name is looked for where programs are.
    let located = if program.contains('/') { directory.join(program).into_os_string() } else { program.into() };
    let mut command = Command::new(located);
    command.args(arguments).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped());
    // The program is named, its arguments are not: they may carry something secret.
    run(&mut command, COMMAND_TIMEOUT).map_err(|problem| format!("the command {program:?} {problem}"))
}

fn run(command: &mut Command, timeout: Duration) -> Result<String, String> {
    let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let Some(output) = child.stdout.take() else {
        return Err("gave no output".to_owned());
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // The receiver is gone after the time-out; then nobody wants the text.
        let _ = sender.send(read_bounded(output));
    });
    let late = || format!("did not end within {timeout:?}");
    let result = match receiver.recv_timeout(timeout) {
        Err(_) => Err(late()),
        Ok(Err(problem)) => Err(format!("gave output that {problem}")),
        Ok(Ok(text)) => match ended(&mut child, timeout) {
            Some(status) if status.success() => Ok(text),
            Some(status) => Err(format!("failed ({status})")),
            None => Err(late()),
        },
    };
    if result.is_err() {
        // It may have ended by itself; either way it is reaped.
        let _ = child.kill();
        let _ = child.wait();
    }
    result
}

/// How the child ended, if it does in time: one that closed its output may live on.
fn ended(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    const STEP: Duration = Duration::from_millis(5);
    for _ in 0..=timeout.as_millis() / STEP.as_millis() {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => std::thread::sleep(STEP),
            Err(_) => return None,
        }
    }
    None
}

fn read_bounded(source: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    source.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(format!("is larger than {} KiB", MAX_SIZE / 1024));
    }
    String::from_utf8(bytes).map(without_newline).map_err(|_| "is not UTF-8".to_owned())
}

/// One trailing newline, of either kind, belongs to the file and not to the value.
fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> Result<String, String> {
        run(Command::new("sh").args(["-c", script]).stdout(Stdio::piped()), timeout)
    }

    #[test]
    fn a_command_that_does_not_end_is_stopped() {
        let soon = Duration::from_millis(50);
        assert_eq!(shell("exec sleep 60", soon), Err("did not end within 50ms".to_owned()));
        // Its output is closed, and it lives on.
        assert_eq!(shell("echo hunter2; exec sleep 60 >&-", soon), Err("did not end within 50ms".to_owned()));
    }

    #[test]
    fn a_command_that_fails_gives_nothing() {
        let told = shell("echo hunter2; exit 3", COMMAND_TIMEOUT).unwrap_err();
        assert_eq!(told, "failed (exit status: 3)");
    }
}
