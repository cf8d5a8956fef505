//! Add, modify, delete, modify DN: what they do and whom they refuse.

use crate::support::{admin, bound, company_directory, connect, entries, found, person, service};
use bindery_demo_directory::company;
use ldap3::{Ldap, Mod, Scope};
use std::collections::HashSet;

const NEW: &str = "uid=nina,ou=people,dc=larkspur,dc=example";

fn set<'a>(values: &[&'a str]) -> HashSet<&'a str> {
    values.iter().copied().collect()
}

async fn add(ldap: &mut Ldap, dn: &str, attributes: &[(&'static str, &[&str])]) -> u32 {
    let attributes = attributes.iter().map(|(name, values)| (*name, set(values))).collect();
    ldap.add(dn, attributes).await.expect("an answer").rc
}

async fn modify(ldap: &mut Ldap, dn: &str, changes: Vec<Mod<&str>>) -> u32 {
    ldap.modify(dn, changes).await.expect("an answer").rc
}

async fn values(ldap: &mut Ldap, dn: &str, name: &str) -> Vec<String> {
    let mut values = entries(ldap, dn, Scope::Base, "(objectClass=*)", &[name])
        .await
        .remove(0)
        .attrs
        .remove(name)
        .unwrap_or_default();
    values.sort();
    values
}

#[tokio::test]
async fn somebody_comes_changes_and_goes() {
    let directory = company_directory();
    let mut ldap = admin(&directory).await;
    let nina: &[(&str, &[&str])] = &[
        ("objectClass", &["top", "inetOrgPerson"]),
        ("cn", &["Nina Rossi"]),
        ("sn", &["Rossi"]),
        ("userPassword", &["larkspur-9"]),
    ];
    assert_eq!(add(&mut ldap, NEW, nina).await, 0);
    assert_eq!(values(&mut ldap, NEW, "uid").await, ["nina"], "the naming value comes by itself");
    assert_eq!(values(&mut ldap, NEW, "creatorsName").await, [company::ADMIN_DN]);
    bound(&directory, NEW, "larkspur-9").await;
    assert_eq!(add(&mut ldap, &NEW.to_uppercase(), nina).await, 68);

    let changes = vec![
        Mod::Add("mail", set(&["nina@larkspur.example", "rossi@larkspur.example"])),
        Mod::Replace("sn", set(&["Rossi-Bell"])),
        Mod::Delete("mail", set(&["ROSSI@larkspur.example"])),
    ];
    assert_eq!(modify(&mut ldap, NEW, changes).await, 0);
    assert_eq!(values(&mut ldap, NEW, "mail").await, ["nina@larkspur.example"]);
    assert_eq!(found(&mut ldap, "(mail=nina@larkspur.example)").await, ["nina"]);
    assert_eq!(found(&mut ldap, "(mail=rossi@larkspur.example)").await, [""; 0]);
    assert_eq!(values(&mut ldap, NEW, "sn").await, ["Rossi-Bell"]);

    let group = "cn=design,ou=groups,dc=larkspur,dc=example";
    assert_eq!(modify(&mut ldap, group, vec![Mod::Add("member", set(&[NEW]))]).await, 0);
    assert_eq!(values(&mut ldap, NEW, "memberOf").await, [group]);
    assert_eq!(modify(&mut ldap, group, vec![Mod::Delete("member", set(&[&NEW.to_uppercase()]))]).await, 0);
    assert_eq!(values(&mut ldap, NEW, "memberOf").await, [""; 0]);

    assert_eq!(ldap.delete(NEW).await.expect("an answer").rc, 0);
    assert_eq!(found(&mut ldap, "(uid=nina)").await, [""; 0]);
    assert_eq!(ldap.delete(NEW).await.expect("an answer").rc, 32);
    assert_eq!(connect(&directory).await.simple_bind(NEW, "larkspur-9").await.expect("an answer").rc, 49);
}

#[tokio::test]
async fn a_disabled_person_is_out_at_once_and_in_again() {
    let directory = company_directory();
    let mut ldap = admin(&directory).await;
    let bind = async || connect(&directory).await.simple_bind(&person("leo"), "demo").await.expect("an answer").rc;
    assert_eq!(modify(&mut ldap, &person("leo"), vec![Mod::Replace("nsAccountLock", set(&["TRUE"]))]).await, 0);
    assert_eq!(bind().await, 53);
    assert_eq!(modify(&mut ldap, &person("leo"), vec![Mod::Delete("nsAccountLock", set(&[]))]).await, 0);
    assert_eq!(bind().await, 0);
}

#[tokio::test]
async fn all_steps_of_a_modify_or_none() {
    let directory = company_directory();
    let mut ldap = admin(&directory).await;
    let ann = person("ann");
    for (step, rc) in [
        (Mod::Delete("shadowExpire", set(&[])), 16),
        (Mod::Delete("title", set(&["Editor"])), 16),
        (Mod::Add("title", set(&["PUBLISHER"])), 20),
        (Mod::Add("manager", set(&["nonsense"])), 21),
        (Mod::Add("entryUUID", set(&["x"])), 19),
        (Mod::Replace("memberOf", set(&[])), 19),
        (Mod::Replace("uid", set(&["other"])), 67),
        (Mod::Delete("objectClass", set(&[])), 65),
        (Mod::Replace("userPassword", set(&["short"])), 19),
        (Mod::Replace("userPassword", set(&["{SSHA}unknown-scheme"])), 19),
        (Mod::Delete("userPassword", set(&["wrong"])), 16),
    ] {
        let text = format!("{step:?}");
        assert_eq!(
            modify(&mut ldap, &ann, vec![Mod::Replace("description", set(&["changed"])), step]).await,
            rc,
            "{text}"
        );
        assert_eq!(values(&mut ldap, &ann, "description").await, [""; 0], "{text}");
    }
    let group = "cn=it-admins,ou=groups,dc=larkspur,dc=example";
    assert_eq!(modify(&mut ldap, group, vec![Mod::Delete("member", set(&[]))]).await, 65);
    assert_eq!(modify(&mut ldap, "uid=nobody,dc=larkspur,dc=example", vec![Mod::Replace("sn", set(&["x"]))]).await, 32);
    assert_eq!(modify(&mut ldap, "nonsense", vec![Mod::Replace("sn", set(&["x"]))]).await, 34);
}

#[tokio::test]
async fn who_may_write() {
    let directory = company_directory();
    let ann = person("ann");
    let title = || vec![Mod::Replace("title", set(&["Queen"]))];
    let phone = || vec![Mod::Replace("telephoneNumber", set(&["+44 20 7946 0999"]))];
    let password = || vec![Mod::Replace("userPassword", set(&["larkspur-1"]))];

    let mut own = bound(&directory, &ann, "demo").await;
    assert_eq!(modify(&mut own, &ann, phone()).await, 0);
    assert_eq!(modify(&mut own, &ann, title()).await, 50);
    assert_eq!(modify(&mut own, &ann, [phone(), title()].concat()).await, 50);
    assert_eq!(modify(&mut own, &person("leo"), phone()).await, 50);
    assert_eq!(
        modify(
            &mut own,
            &ann,
            vec![Mod::Delete("userPassword", set(&["demo"])), Mod::Add("userPassword", set(&["larkspur-1"]))]
        )
        .await,
        0
    );
    bound(&directory, &ann, "larkspur-1").await;

    for mut ldap in
        [service(&directory).await, connect(&directory).await, bound(&directory, &person("leo"), "demo").await]
    {
        for changes in [title(), phone(), password()] {
            assert_eq!(modify(&mut ldap, &ann, changes).await, 50);
        }
        assert_eq!(add(&mut ldap, NEW, &[("objectClass", &["person"])]).await, 50);
        assert_eq!(ldap.delete(&ann).await.expect("an answer").rc, 50);
        assert_eq!(ldap.modifydn(&ann, "uid=x", true, None).await.expect("an answer").rc, 50);
    }
}

#[tokio::test]
async fn what_cannot_be_added_or_deleted() {
    let directory = company_directory();
    let mut ldap = admin(&directory).await;
    let class: (&str, &[&str]) = ("objectClass", &["person"]);
    assert_eq!(add(&mut ldap, "uid=x,ou=nowhere,dc=larkspur,dc=example", &[class]).await, 32);
    assert_eq!(add(&mut ldap, "dc=elsewhere", &[class]).await, 32);
    assert_eq!(add(&mut ldap, "nonsense", &[class]).await, 34);
    assert_eq!(add(&mut ldap, NEW, &[("sn", &["x"])]).await, 65);
    assert_eq!(add(&mut ldap, NEW, &[class, ("entryUUID", &["x"])]).await, 19);
    assert_eq!(add(&mut ldap, NEW, &[class, ("mail", &["a@x", "A@x"])]).await, 20);
    assert_eq!(ldap.delete(company::PEOPLE_DN).await.expect("an answer").rc, 66);
    assert_eq!(found(&mut ldap, "(uid=nina)").await, [""; 0]);
}

#[tokio::test]
async fn names_and_places_change_with_all_below() {
    let directory = company_directory();
    let mut ldap = admin(&directory).await;
    let rename = async |ldap: &mut Ldap, dn: &str, rdn: &str, delete, superior| {
        ldap.modifydn(dn, rdn, delete, superior).await.expect("an answer").rc
    };
    assert_eq!(rename(&mut ldap, &person("zoe"), "uid=zoë\\, m", true, None).await, 0);
    let zoe = "uid=zoë\\, m,ou=people,dc=larkspur,dc=example";
    assert_eq!(values(&mut ldap, zoe, "uid").await, ["zoë, m"]);
    assert_eq!(
        rename(&mut ldap, zoe, "uid=zoe", false, Some("ou=contractors,ou=people,dc=larkspur,dc=example")).await,
        0
    );
    assert_eq!(
        values(&mut ldap, "uid=zoe,ou=contractors,ou=people,dc=larkspur,dc=example", "uid").await,
        ["zoe", "zoë, m"]
    );

    assert_eq!(
        rename(&mut ldap, "ou=contractors,ou=people,dc=larkspur,dc=example", "ou=guests", true, Some(company::BASE_DN))
            .await,
        0
    );
    let moved = entries(&mut ldap, "ou=guests,dc=larkspur,dc=example", Scope::Subtree, "(uid=*)", &["uid"]).await;
    assert_eq!(moved.len(), 3);
    bound(&directory, "uid=mei,ou=guests,dc=larkspur,dc=example", "demo").await;

    assert_eq!(rename(&mut ldap, &person("ann"), "uid=leo", true, None).await, 68);
    assert_eq!(rename(&mut ldap, &person("ann"), "uid=x,ou=y", true, None).await, 34);
    assert_eq!(rename(&mut ldap, &person("ann"), "uid=x", true, Some("ou=nowhere,dc=larkspur,dc=example")).await, 32);
    assert_eq!(rename(&mut ldap, company::PEOPLE_DN, "ou=people", true, Some(company::PEOPLE_DN)).await, 53);
    assert_eq!(rename(&mut ldap, "uid=nobody,ou=people,dc=larkspur,dc=example", "uid=x", true, None).await, 32);
    assert_eq!(rename(&mut ldap, &person("ann"), "uid=ANN", true, None).await, 0, "another spelling of the same name");
    assert_eq!(values(&mut ldap, &person("ann"), "uid").await, ["ANN"]);
}
