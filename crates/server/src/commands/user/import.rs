//! `bindery user import`: the users of another application, with the hashes of their passwords.
//!
//! The file is read as a whole and looked at record by record: one that cannot be imported is named, and alone. Who exists
//! already is left as they are, so that an import can be run again. Never shows a hash.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use bindery_core::engine::Engine;
use bindery_core::name::fold;
use bindery_core::{password, reconcile};
use bindery_store::{Change, GroupRef, NewGroup, NewUser, Owner, PasswordHash, Plan};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::Format;
use crate::exit::{Exit, Failure, chain};
use crate::output::{self, table};

/// `bindery user import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A file of users: JSON objects, Django's dumpdata, or CSV with a heading; - for standard input
    file: PathBuf,
    /// What the file holds; by its ending if left out
    #[arg(long, value_enum)]
    input: Option<Input>,
    /// Says what would be done, and writes nothing
    #[arg(long)]
    dry_run: bool,
}

/// `--input`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Input {
    /// An array of objects, or what Django's `manage.py dumpdata auth` writes
    Json,
    /// Comma-separated values; the first line names the fields
    Csv,
}

/// Users written in one transaction.
const BATCH: usize = 200;

/// More than this is not taken in one go.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Created,
    Exists,
    Failed,
}

/// One record of the file in the report.
#[derive(Debug, Serialize)]
struct Row {
    /// Counted from one, among the users of the file.
    record: usize,
    username: String,
    action: Action,
    /// Why it failed, or what was left out.
    detail: String,
}

#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    created: usize,
    existing: usize,
    failed: usize,
    users: Vec<Row>,
}

/// Somebody who can be imported.
#[derive(Default)]
struct Person {
    user: NewUser,
    groups: BTreeSet<String>,
    /// What of the record is not taken over, in words; empty where that is nothing.
    left_out: String,
}

/// Under which settings records are read.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// `sign_in.lowercase_usernames`.
    pub(super) lowercase: bool,
    /// `sign_in.authorize_local_users`.
    pub(super) authorizes: bool,
}

/// Runs it.
pub(super) async fn run(engine: &Engine, import: &Import, terms: Terms, output: Format) -> Result<Exit, Failure> {
    let records = records(import)?;
    let mut seen = BTreeSet::new();
    let (mut rows, mut people) = (Vec::with_capacity(records.len()), Vec::new());
    for (index, record) in records.iter().enumerate() {
        let mut row = Row {
            record: index.saturating_add(1),
            username: record.get("username").and_then(Value::as_str).unwrap_or_default().trim().to_owned(),
            action: Action::Failed,
            detail: String::new(),
        };
        match person(record, terms) {
            Err(detail) => row.detail = detail,
            Ok(person) if !seen.insert(person.user.username_key.clone()) => {
                "the file has somebody of that name already".clone_into(&mut row.detail);
            }
            Ok(person) if engine.store().user_by_username(&person.user.username_key).await?.is_some() => {
                row.action = Action::Exists;
            }
            Ok(person) => {
                row.action = Action::Created;
                row.detail.clone_from(&person.left_out);
                people.push((index, person));
            }
        }
        rows.push(row);
    }
    if !import.dry_run {
        write(engine, people, &mut rows).await?;
    }
    let count = |action| rows.iter().filter(|row| row.action == action).count();
    let (created, existing, failed) = (count(Action::Created), count(Action::Exists), count(Action::Failed));
    let report = Report { dry_run: import.dry_run, created, existing, failed, users: rows };
    output::report(output, &report, describe)?;
    Ok(if failed == 0 { Exit::Done } else { Exit::Refused })
}

/// The groups that are missing, then the people, a batch at a time.
async fn write(engine: &Engine, people: Vec<(usize, Person)>, rows: &mut [Row]) -> Result<(), Failure> {
    let now = engine.now();
    let names: BTreeMap<String, String> = people
        .iter()
        .flat_map(|(_, person)| &person.groups)
        .map(|name| (reconcile::group_key(name), name.clone()))
        .collect();
    let there = engine.store().groups_by_key(&names.keys().cloned().collect::<Vec<_>>()).await?;
    let missing = names.into_iter().filter(|(key, _)| !there.iter().any(|state| state.group.name_key == *key));
    let made = missing.map(|(name_key, name)| {
        Change::CreateGroup(NewGroup { id: engine.new_id(), name, name_key, owner: Owner::Hand })
    });
    engine.store().apply(&Plan::from(made.collect::<Vec<_>>()), now).await?;

    for batch in people.chunks(BATCH) {
        let plans: Vec<Plan> = batch.iter().map(|(_, person)| plan(engine, person)).collect();
        let results = engine.store().apply_batch(&plans, now).await?;
        for ((index, _), result) in batch.iter().zip(results) {
            if let (Err(error), Some(row)) = (result, rows.get_mut(*index)) {
                row.action = Action::Failed;
                row.detail = chain(&error);
            }
        }
    }
    Ok(())
}

fn plan(engine: &Engine, person: &Person) -> Plan {
    let user = engine.new_id();
    let join = |name: &String| Change::AddMembership {
        user,
        group: GroupRef::Key(reconcile::group_key(name)),
        owner: Owner::Hand,
    };
    let create = Change::CreateUser(NewUser { id: user, ..person.user.clone() });
    Plan::from([create].into_iter().chain(person.groups.iter().map(join)).collect::<Vec<_>>())
}

fn describe(report: &Report) -> String {
    let worth =
        report.users.iter().filter(|row| row.action != Action::Created || report.dry_run || !row.detail.is_empty());
    let rows: Vec<Vec<String>> = worth
        .map(|row| {
            let action = format!("{:?}", row.action).to_lowercase();
            vec![row.record.to_string(), row.username.clone(), action, row.detail.clone()]
        })
        .collect();
    let list = if rows.is_empty() { String::new() } else { table(&["record", "username", "action", "why"], &rows) };
    let (verb, Report { created, existing, failed, .. }) =
        (if report.dry_run { "would be created" } else { "created" }, report);
    format!("{list}{created} {verb}, {existing} exist already, {failed} failed")
}

/// Every user of the file, as fields by name.
fn records(import: &Import) -> Result<Vec<Map<String, Value>>, Failure> {
    let by_ending = import.file.extension().and_then(|ending| match ending.to_str()?.to_lowercase().as_str() {
        "json" => Some(Input::Json),
        "csv" => Some(Input::Csv),
        _ => None,
    });
    let Some(input) = import.input.or(by_ending) else {
        return Err(Failure::usage(
            "what the file holds cannot be told from its name; say --input json or --input csv",
        ));
    };
    let text = read(&import.file)?;
    let unreadable = |error: String| Failure::usage(format!("{} cannot be read: {error}", import.file.display()));
    match input {
        Input::Json => from_json(&text).map_err(unreadable),
        Input::Csv => from_csv(&text).map_err(unreadable),
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let failed = |error| Failure::usage(format!("{} cannot be read: {error}", file.display()));
    let read = if file == Path::new("-") {
        std::io::stdin().take(MAX_FILE + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).map_err(failed)?.take(MAX_FILE + 1).read_to_string(&mut text)
    };
    read.map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(Failure::usage(format!("{} is larger than {} MiB", file.display(), MAX_FILE >> 20)));
    }
    Ok(text)
}

fn from_csv(text: &str) -> Result<Vec<Map<String, Value>>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    if !names.iter().any(|name| name == "username") {
        return Err("its first line names no field username".to_owned());
    }
    let mut records = Vec::new();
    for row in reader.records() {
        // The driver's words name the line, and no value.
        let row = row.map_err(|error| error.to_string())?;
        let cells = names.iter().zip(&row).filter(|(_, cell)| !cell.is_empty());
        records.push(cells.map(|(name, cell)| (name.to_owned(), Value::from(cell))).collect());
    }
    Ok(records)
}

fn from_json(text: &str) -> Result<Vec<Map<String, Value>>, String> {
    // Words about what was found could quote a hash: only the place is told.
    let objects: Vec<Map<String, Value>> = serde_json::from_str(text)
        .map_err(|error| format!("no JSON array of objects (line {}, column {})", error.line(), error.column()))?;
    if !objects.iter().any(|object| object.contains_key("model")) {
        return Ok(objects);
    }
    let is = |object: &Map<String, Value>, what: &str| {
        object.get("model").and_then(Value::as_str).is_some_and(|model| model.to_lowercase().ends_with(what))
    };
    let fields = |object: &Map<String, Value>| object.get("fields").and_then(Value::as_object).cloned();
    let mut groups = BTreeMap::new();
    for group in objects.iter().filter(|object| is(object, "auth.group")) {
        let name = fields(group).and_then(|fields| fields.get("name").cloned());
        if let (Some(pk), Some(name)) = (group.get("pk"), name) {
            groups.insert(pk.to_string(), name);
        }
    }
    let mut users: Vec<_> = objects.iter().filter(|object| is(object, "user")).filter_map(fields).collect();
    for user in &mut users {
        if let Some(Value::Array(memberships)) = user.get_mut("groups") {
            for membership in memberships {
                // By primary key, or by natural key: ["Editors"].
                let named = match &*membership {
                    Value::Array(natural) => natural.first().cloned(),
                    pk => groups.get(&pk.to_string()).cloned(),
                };
                *membership = named.unwrap_or(Value::Null);
            }
        }
    }
    Ok(users)
}

/// What a dump says of a user that has no meaning here.
const IGNORED: [&str; 8] =
    ["id", "pk", "last_login", "date_joined", "user_permissions", "permissions", "link", "created_at"];

/// What a directory may have given somebody. By hand it would stay when the directory takes it back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    Nothing,
    /// Live groups of a local account: `user show` lists them like those that people gave.
    Groups,
    /// The user is linked: groups, and every flag.
    Rights,
}

impl Given {
    /// Only what `user show` writes has a link, which is null for a local account.
    fn of(record: &Map<String, Value>, terms: Terms) -> Self {
        match record.get("link") {
            Some(Value::Null) if terms.authorizes => Self::Groups,
            None | Some(Value::Null) => Self::Nothing,
            Some(_) => Self::Rights,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Groups => "without the groups: some may be live ones of a directory",
            Self::Rights => {
                "without groups and flags: a directory may have given them, and gives them again once the user is linked"
            }
        }
    }
}

/// Somebody, from fields by name; what has no field of its own here goes into the profile.
fn person(record: &Map<String, Value>, terms: Terms) -> Result<Person, String> {
    let name = record.get("username").and_then(Value::as_str).unwrap_or_default();
    let (username, username_key) = super::username(name, terms.lowercase)?;
    let given = Given::of(record, terms);
    let mut person = Person { user: NewUser { username, username_key, ..NewUser::default() }, ..Person::default() };
    let user = &mut person.user;
    let mut left_out = false;
    for (name, value) in record.iter().filter(|(name, _)| !IGNORED.contains(&name.as_str())) {
        match name.as_str() {
            "username" => {}
            "email" => {
                user.email = text(name, value)?;
                user.email_key = fold(&user.email);
            }
            "first_name" => user.first_name = text(name, value)?,
            "last_name" => user.last_name = text(name, value)?,
            "display_name" => user.display_name = text(name, value)?,
            "path" => user.path = text(name, value)?,
            "password" => user.password_hash = hash(value)?,
            "groups" if given == Given::Nothing => person.groups = group_names(value)?,
            "groups" => left_out |= !group_names(value)?.is_empty(),
            "profile" => {
                let Value::Object(fields) = value else { return Err("profile is no object".to_owned()) };
                user.profile.extend(fields.clone());
            }
            flag if flag.starts_with("is_") => {
                let value = truth(name, value)?;
                // Whoever was shut out stays out.
                if value && given == Given::Rights {
                    left_out |= flag != "is_active";
                } else {
                    user.flags.insert(flag.to_owned(), value);
                }
            }
            secret if secret.to_lowercase().contains("passw") => {
                return Err(format!("{secret} looks like a password; a hash belongs into the field password"));
            }
            _ if value.is_null() => {}
            _ => {
                user.profile.insert(name.clone(), value.clone());
            }
        }
    }
    if left_out {
        given.in_words().clone_into(&mut person.left_out);
    }
    Ok(person)
}

fn text(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        _ => Err(format!("{name} is no text")),
    }
}

fn truth(name: &str, value: &Value) -> Result<bool, String> {
    let word = match value {
        Value::Bool(value) => return Ok(*value),
        Value::Number(number) => number.to_string(),
        Value::String(word) => word.to_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        "true" | "t" | "yes" | "1" => Ok(true),
        "false" | "f" | "no" | "0" => Ok(false),
        _ => Err(format!("{name} is neither true nor false")),
    }
}

/// A hash that this server can check; none where the other application let nobody in by a password.
fn hash(value: &Value) -> Result<Option<PasswordHash>, String> {
    let stored = text("password", value)?;
    if stored.is_empty() || stored.starts_with('!') {
        return Ok(None);
    }
    password::check(&stored).map_err(|error| error.to_string())?;
    Ok(Some(PasswordHash::new(stored)))
}

/// A list, or names between semicolons.
fn group_names(value: &Value) -> Result<BTreeSet<String>, String> {
    let names: Vec<&str> = match value {
        Value::Null => Vec::new(),
        Value::String(names) => names.split(';').collect(),
        Value::Array(names) => {
            let missing = "a group that is not in the file; dump the groups as well (`manage.py dumpdata auth`)";
            names.iter().map(|name| name.as_str().ok_or(missing)).collect::<Result<_, _>>()?
        }
        _ => return Err("groups is no list".to_owned()),
    };
    Ok(names.into_iter().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}
