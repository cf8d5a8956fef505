//! Strings that come from elsewhere, and that no secret can be printed.

use std::path::Path;

use bindery_directory::settings::Bind;
use secrecy::ExposeSecret;

use super::LEAST;
use crate::config::{Config, Environment};

fn password(folder: &Path, form: &str) -> Result<String, String> {
    let text = format!("{LEAST}[sources.corp.bind]\ndn = 'cn=svc'\npassword = {form}");
    let environment: Environment = [("NAME", "from the environment\n")].into_iter().collect();
    let config = Config::parse(&text, &folder.join("bindery.toml"), &environment).map_err(|it| it.to_string())?;
    match &config.sources[0].directory.bind {
        Bind::Simple { password, .. } => Ok(password.expose_secret().to_owned()),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn a_string_may_come_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("secret"), "from a file\n").unwrap();
    std::fs::write(path.join("crlf"), "two\n\r\n").unwrap();
    assert_eq!(password(path, "{ env = 'NAME' }").unwrap(), "from the environment");
    assert_eq!(password(path, "{ file = 'secret' }").unwrap(), "from a file");
    assert_eq!(password(path, "{ file = 'crlf' }").unwrap(), "two\n");
    assert_eq!(password(path, "{ command = ['cat', 'secret'] }").unwrap(), "from a file");
    assert_eq!(password(path, "{ command = ['printf', '%s', { file = 'secret' }] }").unwrap(), "from a file");
}

#[test]
fn a_program_with_a_path_lies_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/echo", folder.path().join("say")).unwrap();
    assert_eq!(password(folder.path(), "{ command = ['./say', 'hello'] }").unwrap(), "hello");
}

#[test]
fn what_is_too_large_or_no_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("binary"), [0xff, 0xfe]).unwrap();
    std::fs::write(folder.path().join("large"), vec![b'a'; (1 << 20) + 1]).unwrap();
    let told = |form: &str| password(folder.path(), form).unwrap_err();
    assert!(told("{ file = 'binary' }").contains("is not UTF-8"));
    assert!(told("{ file = 'large' }").contains("is larger than"));
    // `yes` never ends by itself: it is stopped at the limit.
    assert!(told("{ command = ['yes'] }").contains("is larger than"));
}

#[test]
fn nothing_that_can_be_printed_shows_a_secret() {
    let text = format!(
        "[store]\nurl = 'postgres://bindery:hunter2@db.example.com/people'\n{LEAST}\
         [sources.corp.bind]\ndn = 'cn=svc'\npassword = 'hunter2'"
    );
    let environment: Environment = [("BINDERY__SOURCES__CORP__BIND__PASSWORD", "hunter2")].into_iter().collect();
    let config = Config::parse(&text, Path::new("bindery.toml"), &environment).unwrap();
    let printed = format!("{config:?} {config:#?} {environment:?}");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("cn=svc"), "the rest is there");
}
