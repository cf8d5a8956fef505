//! Runs that are killed, that take too long, or whose store dies: nothing is lost or removed, and the next one comes to
//! what an undisturbed run comes to.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bindery_tests::{Bindery, FaultProxy, Postgres, Slapd};

use crate::support::{group, person};
use crate::sync::{completed, corp, crowd, ended, sync};

/// Everything that a sync writes, in words that two stores have in common.
const CONTENT: &str = "\
    SELECT u.username, u.email, u.display_name, u.flags, u.deactivated_by, u.profile FROM users u ORDER BY username_key; \
    SELECT l.kind, l.source, l.unique_id, COALESCE(u.username, g.name), l.dn FROM links l \
    LEFT JOIN users u ON u.id = l.user_id LEFT JOIN groups g ON g.id = l.group_id ORDER BY l.unique_id; \
    SELECT g.name, g.owner, u.username, m.owner FROM groups g LEFT JOIN memberships m ON m.group_id = g.id \
    LEFT JOIN users u ON u.id = m.user_id ORDER BY 1, 3, 4; \
    SELECT c.name, p.name, m.owner FROM group_memberships m JOIN groups c ON c.id = m.child_id \
    JOIN groups p ON p.id = m.parent_id ORDER BY 1, 2; \
    SELECT unique_id, head, members FROM rosters ORDER BY 1";

/// A store that a test looks into.
enum Inside<'a> {
    Postgres(&'a Postgres, String),
    Sqlite(PathBuf),
}

impl Inside<'_> {
    fn sql(&self, statements: &str) -> String {
        match self {
            Self::Postgres(postgres, database) => postgres.sql_in(database, statements),
            Self::Sqlite(file) => {
                let output = Command::new("sqlite3").arg(file).arg(statements).output();
                let output = output.expect("sqlite3 is there: run scripts/install");
                assert!(output.status.success(), "{output:?}");
                String::from_utf8(output.stdout).unwrap()
            }
        }
    }

    /// The lease of a killed run would be over within half a minute.
    fn free(&self) {
        self.sql("DELETE FROM leases");
    }
}

/// Kills a run after a while; true if it was still at it.
fn killed(mut run: Child, after: Duration) -> bool {
    // No test waits for anything here: it is the moment of the kill that is to differ.
    std::thread::sleep(after);
    let running = run.try_wait().unwrap().is_none();
    run.kill().unwrap();
    run.wait().unwrap();
    running
}

/// A directory, a slow way to it, and what both configurations have in common.
struct Scene {
    slapd: Slapd,
    proxy: FaultProxy,
}

impl Scene {
    fn new() -> Self {
        let slapd = Slapd::builder().syncprov().ldif(&crowd(400)).start();
        let proxy = FaultProxy::new(slapd.port());
        proxy.delay(Duration::from_millis(5));
        Self { slapd, proxy }
    }

    fn bindery(&self, slow: bool, store: &str) -> Bindery {
        let server = if slow { format!("ldap://127.0.0.1:{}", self.proxy.port()) } else { self.slapd.url() };
        let corp = corp(&self.slapd).servers(&[server]).keys("page_size = 25").table("sync", "removed = \"delete\"");
        let bindery = Bindery::new(&corp.also(&format!("[store]\nurl = \"{store}\"")).toml());
        // The first command makes the tables.
        assert_eq!(bindery.run(&["user", "list"]).code, 0);
        bindery
    }

    fn change(&self) {
        self.slapd.ldapmodify(&format!(
            "dn: {}\nchangetype: delete\n\ndn: {}\nchangetype: delete\n\n\
             dn: {}\nchangetype: modify\nreplace: mail\nmail: new@example.test\n\n\
             dn: {}\nchangetype: modify\nadd: member\nmember: {}\n",
            person("u001"),
            group("g02"),
            person("u300"),
            group("g03"),
            person("u300"),
        ));
    }
}

/// Whether both come to the same, and stay so.
fn converges(one: (&Bindery, &Inside<'_>), other: (&Bindery, &Inside<'_>), changed: bool) {
    for (bindery, _) in [one, other] {
        let run = completed(&sync(bindery, &["--full"]));
        assert_eq!(run["users"]["failed"], 0, "{run}");
        let run = completed(&sync(bindery, &["--full"]));
        assert_eq!((&run["users"]["updated"], &run["memberships"]["added"]), (&0.into(), &0.into()), "{run}");
    }
    let (one, other) = (one.1.sql(CONTENT), other.1.sql(CONTENT));
    assert!(one == other, "{one}\n\nundisturbed:\n{other}");
    assert!(one.contains("\nu400|") && one.contains("\nu001|") != changed);
}

/// Pulling the plug at any point loses and removes nothing, and the next run comes to what an undisturbed one comes to.
fn killed_at_any_point(scene: &Scene, one: (&Bindery, &Inside<'_>), other: (&Bindery, &Inside<'_>)) {
    let mut hits = 0;
    for changes in [false, true] {
        if changes {
            scene.change();
        }
        let mut after = Duration::from_millis(40);
        for _ in 0..40 {
            one.1.free();
            let mut command = one.0.command();
            command.args(["sync", "--full"]).stdout(Stdio::null()).stderr(Stdio::null());
            if !killed(command.spawn().unwrap(), after) {
                break;
            }
            hits += 1;
            after = after.mul_f64(1.3);
        }
        one.1.free();
        converges(one, other, changes);
    }
    assert!(hits >= 8, "too few runs were killed midway: {hits}");
}

#[test]
fn killed_at_any_point_on_postgres() {
    let scene = Scene::new();
    let postgres = Postgres::start();
    let (disturbed, undisturbed) = (postgres.database(), postgres.database());
    let (one, other) = (scene.bindery(true, &disturbed), scene.bindery(false, &undisturbed));
    let inside = [Inside::Postgres(postgres, disturbed), Inside::Postgres(postgres, undisturbed)];
    killed_at_any_point(&scene, (&one, &inside[0]), (&other, &inside[1]));
}

#[test]
fn killed_at_any_point_on_sqlite() {
    let scene = Scene::new();
    let (one, other) = (scene.bindery(true, "sqlite:bindery.db"), scene.bindery(false, "sqlite:bindery.db"));
    let inside = [&one, &other].map(|bindery| Inside::Sqlite(bindery.path().join("bindery.db")));
    killed_at_any_point(&scene, (&one, &inside[0]), (&other, &inside[1]));
}

/// The database of a run is killed, not the run: it fails, says why, and has removed nobody.
#[test]
fn postgres_killed_in_the_middle_of_a_run() {
    let scene = Scene::new();
    let (postgres, shared) = (Postgres::own(), Postgres::start());
    let (disturbed, undisturbed) = (postgres.database(), shared.database());
    let (one, other) = (scene.bindery(true, &disturbed), scene.bindery(false, &undisturbed));
    let inside = [Inside::Postgres(&postgres, disturbed), Inside::Postgres(shared, undisturbed)];
    let mut hits = 0;
    for changes in [false, true] {
        if changes {
            scene.change();
        }
        for after in if changes { [150, 450] } else { [100, 400] } {
            let mut command = one.command();
            command.args(["--format", "json", "sync", "corp", "--full"]).stdout(Stdio::piped()).stderr(Stdio::null());
            let run = command.spawn().unwrap();
            // No test waits for anything here: it is the moment of the kill that is to differ.
            std::thread::sleep(Duration::from_millis(after));
            postgres.kill();
            let output = run.wait_with_output().unwrap();
            if output.status.code() != Some(0) {
                hits += 1;
                assert_eq!(output.status.code(), Some(3), "{output:?}");
                // One that had not begun has no run to tell of.
                if let Ok(run) = serde_json::from_slice::<serde_json::Value>(&output.stdout) {
                    let why = (&run["outcome"], &run["reason"], &run["users"]["deleted"]);
                    assert_eq!(why, (&"failed".into(), &"store".into(), &0.into()), "{run}");
                }
            }
            postgres.restart();
            inside[0].free();
        }
        converges((&one, &inside[0]), (&other, &inside[1]), changes);
    }
    assert!(hits >= 2, "too few runs lost their database midway: {hits}");
}

/// More than `timeouts.sync` is a failure, and removes nobody.
#[test]
fn a_run_that_takes_too_long() {
    let slapd = Slapd::builder().syncprov().ldif(&crowd(200)).start();
    let proxy = FaultProxy::new(slapd.port());
    let servers = [format!("ldap://127.0.0.1:{}", proxy.port())];
    let corp = |longest: &str| {
        let timeouts = format!("timeouts = {{ connect = \"5s\", operation = \"20s\", sync = \"{longest}\" }}");
        let keys = format!("{timeouts}\npage_size = 10");
        corp(&slapd).servers(&servers).keys(&keys).table("sync", "removed = \"delete\"").toml()
    };
    let bindery = Bindery::new(&corp("60s"));
    completed(&sync(&bindery, &[]));
    bindery.configure(&corp("2s"));
    slapd.ldapdelete(&person("u200"));
    proxy.delay(Duration::from_millis(120));
    for arguments in [&["--full"][..], &["--full", "--dry-run"], &["--allow-removals"]] {
        let run = ended(&sync(&bindery, arguments), 3, "failed timeout");
        assert!(run["errors"][0].as_str().unwrap().contains("timeouts.sync"), "{run}");
        assert_eq!((&run["users"]["deleted"], &run["would_remove"]), (&0.into(), &serde_json::json!([])), "{run}");
    }
    proxy.delay(Duration::ZERO);
    bindery.configure(&corp("60s"));
    assert_eq!(completed(&sync(&bindery, &["--full"]))["users"]["deleted"], 1);
}
