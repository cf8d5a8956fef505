//! Memberships of every kind, and what they decide: flags, mapped and mirrored groups, permissions.

use bindery_tests::Slapd;

use crate::support::{Corp, group, names, person, refused, signed_in, user};

const PEOPLE: &str = "base_dn = \"ou=people,dc=example,dc=test\"";
const GROUPS: &str = "base_dn = \"ou=groups,dc=example,dc=test\"";

fn corp(slapd: &Slapd, groups: &str) -> Corp {
    Corp::new(slapd).table("users", PEOPLE).table("groups", &format!("{GROUPS}\n{groups}"))
}

/// D8, W17: flags by name, DN, list and expression; names compare whole; DNs by RFC 4514.
#[test]
fn flags() {
    let slapd = Slapd::start();
    let flags = "is_superuser = \"CN = Admins , OU=groups,DC=example,DC=test\"\n\
         is_staff = { all = [\"staff\", { not = \"contractors\" }] }\nis_writer = [\"writers\", \"press\"]\ncascade = false";
    let bindery = corp(&slapd, "").table("flags", flags).bindery();
    let of = |uid: &str| {
        let user = signed_in(&bindery.login(uid, &format!("{uid}-secret")));
        [user["is_superuser"].clone(), user["is_staff"].clone(), user["is_writer"].clone()].map(|flag| flag == true)
    };
    assert_eq!(of("ann"), [false, true, true]);
    assert_eq!(of("bob"), [true, true, false]);
    assert_eq!(of("carol"), [false, false, false]);
    // In "Former admins (archived)" only.
    assert_eq!(of("eve"), [false, false, false]);
}

/// Flags that are not configured are never touched; with `cascade` a superuser is staff, and staff active.
#[test]
fn flags_cascade_among_those_configured() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd, "").table("flags", "is_superuser = \"admins\"\nis_staff = \"writers\"").bindery();
    let bob = signed_in(&bindery.login("bob", "bob-secret"));
    assert_eq!((&bob["is_superuser"], &bob["is_staff"]), (&true.into(), &true.into()));
    let eve = signed_in(&bindery.login("eve", "eve-secret"));
    assert_eq!((&eve["is_superuser"], &eve["is_active"]), (&false.into(), &true.into()));
}

/// A flag that a group gave goes when the person leaves the group.
#[test]
fn flags_follow_the_directory() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd, "").table("flags", "is_superuser = \"admins\"").bindery();
    assert_eq!(signed_in(&bindery.login("bob", "bob-secret"))["is_superuser"], true);
    slapd.ldapmodify(&format!(
        "dn: {}\nchangetype: modify\nreplace: member\nmember: {}\n",
        group("admins"),
        person("ann")
    ));
    assert_eq!(signed_in(&bindery.login("bob", "bob-secret"))["is_superuser"], false);
    assert_eq!(signed_in(&bindery.login("ann", "ann-secret"))["is_superuser"], true);
}

/// D13: nested groups with the path that led to each, loops included; `nested = "none"` counts direct ones only.
#[test]
fn nested_groups_and_loops() {
    let slapd = Slapd::start();
    let walk = corp(&slapd, "").bindery();
    let ann = walk.explain("ann").value();
    let groups = ann["groups"].as_array().unwrap();
    let found = |name: &str| groups.iter().find(|group| group["name"] == name);
    assert_eq!(found("writers").unwrap()["direct"], true);
    let staff = found("staff").unwrap_or_else(|| panic!("{ann}"));
    assert_eq!(staff["direct"], false);
    assert_eq!(staff["path"], serde_json::json!([group("writers"), group("editors"), group("staff")]));
    let frank = walk.explain("frank").value();
    let mut loops =
        frank["groups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap()).collect::<Vec<_>>();
    loops.sort_unstable();
    assert_eq!(loops, ["loop-a", "loop-b"]);

    let none = corp(&slapd, "nested = \"none\"").table("flags", "is_staff = \"staff\"").bindery();
    assert_eq!(signed_in(&none.login("ann", "ann-secret"))["is_staff"], false);
    assert_eq!(signed_in(&none.login("carol", "carol-secret"))["is_staff"], true);
}

/// D13, A6: members as DNs of three kinds of groups, and as login names.
#[test]
fn member_kinds() {
    let slapd = Slapd::start();
    for (members, name, who, not) in [
        ("members = \"member\"", "writers", "ann", "eve"),
        ("members = \"uniqueMember\"", "press", "bob", "ann"),
        ("members = \"roleOccupant\"", "directors", "ann", "bob"),
        (
            "members = \"memberUid\"\nmember_value = \"uid\"\nfilter = \"(objectClass=posixGroup)\"\nnested = \"none\"",
            "developers",
            "ann",
            "carol",
        ),
    ] {
        let bindery = corp(&slapd, members).table("flags", &format!("is_member = \"{name}\"")).bindery();
        assert_eq!(signed_in(&bindery.login(who, &format!("{who}-secret")))["is_member"], true, "{members}");
        assert_eq!(signed_in(&bindery.login(not, &format!("{not}-secret")))["is_member"], false, "{members}");
    }
}

/// D13: a person's primary group counts, though it does not list them.
#[test]
fn posix_primary_group() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd, "").preset("rfc2307").table("flags", "is_operator = \"ops\"").bindery();
    assert_eq!(signed_in(&bindery.login("carol", "carol-secret"))["is_operator"], true);
    assert_eq!(signed_in(&bindery.login("dave", "dave-secret"))["is_operator"], true);
    assert_eq!(signed_in(&bindery.login("ann", "ann-secret"))["is_operator"], false);
}

/// A7: groups read from the person's `memberOf`, nested ones included.
#[test]
fn member_of() {
    let slapd = Slapd::builder().memberof().refint().start();
    let flags = "is_writer = \"writers\"\nis_staff = \"staff\"\nis_superuser = \"admins\"\ncascade = false";
    let bindery = corp(&slapd, "members = \"memberOf\"").table("flags", flags).bindery();
    let ann = signed_in(&bindery.login("ann", "ann-secret"));
    assert_eq!(
        (&ann["is_writer"], &ann["is_staff"], &ann["is_superuser"]),
        (&true.into(), &true.into(), &false.into()),
        "{ann}"
    );
}

/// D13: the later RFC 2307 schema, with DNs as members of posix groups.
#[test]
fn rfc2307bis_groups() {
    let slapd = Slapd::builder().rfc2307bis().start();
    let bindery = corp(&slapd, "").table("flags", "is_developer = \"developers\"").bindery();
    assert_eq!(signed_in(&bindery.login("ann", "ann-secret"))["is_developer"], true);
    assert_eq!(signed_in(&bindery.login("carol", "carol-secret"))["is_developer"], false);
}

/// D14, J4: all groups, only some, all but some; what people added by hand stays.
#[test]
fn mirrored_groups() {
    let slapd = Slapd::start();
    let mirrored = |mirror: &str| {
        let bindery = corp(&slapd, &format!("mirror = {mirror}\nnested = \"none\"")).bindery();
        signed_in(&bindery.login("bob", "bob-secret"));
        names(&user(&bindery, "bob")["groups"])
    };
    assert_eq!(mirrored("true"), ["admins", "app-users", "editors"]);
    assert_eq!(mirrored("[\"editors\", \"writers\"]"), ["editors"]);
    assert_eq!(mirrored("{ except = [\"admins\", \"writers\"] }"), ["app-users", "editors"]);
    assert_eq!(mirrored("{ except = [] }"), ["admins", "app-users", "editors"]);
    assert!(mirrored("false").is_empty());

    let bindery = corp(&slapd, "mirror = true\nnested = \"none\"").bindery();
    signed_in(&bindery.login("carol", "carol-secret"));
    assert_eq!(bindery.run(&["group", "create", "By hand"]).code, 0);
    assert_eq!(bindery.run(&["group", "add", "By hand", "carol"]).code, 0);
    slapd.ldapmodify(&format!(
        "dn: {}\nchangetype: modify\ndelete: member\nmember: {}\n",
        group("app-users"),
        person("carol")
    ));
    signed_in(&bindery.login("carol", "carol-secret"));
    assert_eq!(names(&user(&bindery, "carol")["groups"]), ["By hand", "contractors", "staff"]);
}

/// W19, J4: local groups by expression; groups that are not listed are not touched.
#[test]
fn group_map() {
    let slapd = Slapd::start();
    let map = "Editors = [\"writers\", \"leavers\"]\n\"Core staff\" = { all = [\"staff\", { not = \"contractors\" }] }";
    let bindery = corp(&slapd, "").table("group_map", map).bindery();
    for (uid, expected) in [("ann", vec!["Core staff", "Editors"]), ("carol", vec![]), ("dave", vec!["Editors"])] {
        signed_in(&bindery.login(uid, &format!("{uid}-secret")));
        assert_eq!(names(&user(&bindery, uid)["groups"]), expected, "{uid}");
    }
}

/// D15: permissions of local groups named like directory groups, with and without a row written.
#[test]
fn permissions() {
    let slapd = Slapd::start();
    for (setting, written) in [("mirror = true", true), ("permissions = \"live\"", false)] {
        let bindery = corp(&slapd, setting).bindery();
        assert_eq!(bindery.run(&["group", "create", "writers"]).code, 0);
        assert_eq!(bindery.run(&["group", "grant", "writers", "blog.add_post"]).code, 0);
        signed_in(&bindery.login("ann", "ann-secret"));
        signed_in(&bindery.login("eve", "eve-secret"));
        assert_eq!(names(&user(&bindery, "ann")["permissions"]), ["blog.add_post"], "{setting}");
        assert!(names(&user(&bindery, "eve")["permissions"]).is_empty(), "{setting}");
        let members = bindery.json(&["group", "show", "writers"]);
        assert_eq!(members.stdout.contains("\"ann\""), written, "{setting}: {members:?}");
    }
}

/// D15: local users get the permissions of their directory groups, by name, where that is wanted.
#[test]
fn local_users_are_authorized_by_name() {
    let slapd = Slapd::start();
    let config = |authorize: bool| {
        corp(&slapd, "permissions = \"live\"").also(&format!("[sign_in]\nauthorize_local_users = {authorize}")).toml()
    };
    let bindery = bindery_tests::Bindery::new(&config(true));
    assert_eq!(bindery.run_with(&["user", "create", "ann", "--password-stdin"], "local secret 1").code, 0);
    assert_eq!(bindery.run(&["group", "create", "writers"]).code, 0);
    assert_eq!(bindery.run(&["group", "grant", "writers", "blog.add_post"]).code, 0);
    assert_eq!(names(&signed_in(&bindery.login("ann", "local secret 1"))["permissions"]), ["blog.add_post"]);
    let bindery = bindery_tests::Bindery::new(&config(false));
    assert_eq!(bindery.run_with(&["user", "create", "ann", "--password-stdin"], "local secret 1").code, 0);
    assert_eq!(bindery.run(&["group", "create", "writers"]).code, 0);
    assert_eq!(bindery.run(&["group", "grant", "writers", "blog.add_post"]).code, 0);
    assert!(names(&signed_in(&bindery.login("ann", "local secret 1"))["permissions"]).is_empty());
}

/// D2, D12: a group search that is refused or cut short is unknown: nobody gains, nobody loses, nothing is written.
#[test]
fn a_failed_group_search_changes_nothing() {
    let slapd = Slapd::start();
    let tables = |corp: Corp| {
        corp.table("users", PEOPLE)
            .table("groups", &format!("{GROUPS}\nmirror = true"))
            .table("access", "deny = [\"leavers\"]")
            .table("flags", "is_staff = \"staff\"")
    };
    let bindery = tables(Corp::new(&slapd)).bindery();
    signed_in(&bindery.login("ann", "ann-secret"));
    let before = user(&bindery, "ann");
    let blind = format!("dn = \"{}\"\npassword = \"blind-secret\"", Slapd::BLIND_DN);
    bindery.configure(&tables(Corp::new(&slapd).bind(&blind)).toml());
    refused(&bindery.login("ann", "ann-secret"), "membership_unknown");
    refused(&bindery.login("dave", "dave-secret"), "membership_unknown");
    let after = user(&bindery, "ann");
    assert_eq!((&before["groups"], &before["is_staff"]), (&after["groups"], &after["is_staff"]));
}

/// D2: a size limit that cuts the answer is unknown too.
#[test]
fn a_size_limit_is_unknown() {
    let slapd = Slapd::builder().size_limit(2).start();
    let limited = format!("dn = \"{}\"\npassword = \"limited-secret\"", Slapd::LIMITED_DN);
    let bindery = corp(&slapd, "mirror = true").bind(&limited).bindery();
    refused(&bindery.login("bob", "bob-secret"), "membership_unknown");
    assert_eq!(bindery.json(&["user", "list"]).stdout.matches("\"username\"").count(), 0);
}

/// A group of a flag that cannot be found: not granted, and named.
#[test]
fn a_missing_group_of_a_flag_is_not_granted_and_named() {
    let slapd = Slapd::start();
    let bindery = corp(&slapd, "").table("flags", "is_staff = \"No Such Group\"").bindery();
    assert_eq!(signed_in(&bindery.login("ann", "ann-secret"))["is_staff"], false);
    let explain = bindery.explain("ann");
    assert!(explain.stdout.contains("No Such Group"), "{explain:?}");
    let check = bindery.run(&["check"]);
    assert_eq!(check.code, 1, "{check:?}");
    assert!(format!("{}{}", check.stdout, check.stderr).contains("No Such Group"), "{check:?}");
}
