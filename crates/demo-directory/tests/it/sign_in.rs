//! Bind, and what it lets people see.

use crate::support::{admin, bound, company_directory, connect, entries, person, service};
use bindery_demo_directory::company::{self, Standing};
use ldap3::controls::RawControl;
use ldap3::exop::{PasswordModify, PasswordModifyResp, WhoAmI, WhoAmIResp};
use ldap3::{Ldap, LdapResult, Mod, Scope};

const POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

async fn bind(ldap: &mut Ldap, dn: &str, password: &str) -> LdapResult {
    ldap.simple_bind(dn, password).await.expect("an answer")
}

async fn bind_with_policy(ldap: &mut Ldap, dn: &str, password: &str) -> (u32, Option<Vec<u8>>) {
    let control = RawControl { ctype: POLICY.into(), crit: false, val: None };
    let result = ldap.with_controls(control).simple_bind(dn, password).await.expect("an answer");
    let policy = result.ctrls.iter().find(|control| control.1.ctype == POLICY);
    (result.rc, policy.map(|control| control.1.val.clone().unwrap_or_default()))
}

#[tokio::test]
async fn everybody_of_good_standing_signs_in() {
    let directory = company_directory();
    for person in company::people().iter().filter(|person| person.standing == Standing::Good) {
        let mut ldap = connect(&directory).await;
        assert_eq!(bind(&mut ldap, &person.dn, "wrong").await.rc, 49, "{}", person.username);
        assert_eq!(bind(&mut ldap, &person.dn.to_uppercase(), person.password).await.rc, 0, "{}", person.username);
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_look_the_same() {
    let directory = company_directory();
    let mut ldap = connect(&directory).await;
    let wrong = bind(&mut ldap, &person("ann"), "Demo").await;
    let unknown = bind(&mut ldap, "uid=nobody,ou=people,dc=larkspur,dc=example", "demo").await;
    assert_eq!((wrong.rc, &wrong.text, &wrong.matched), (49, &unknown.text, &unknown.matched));
    assert_eq!(unknown.rc, 49);
    // An entry without a password lets nobody in.
    assert_eq!(bind(&mut ldap, company::PEOPLE_DN, "demo").await.rc, 49);
}

#[tokio::test]
async fn an_empty_password_is_no_sign_in() {
    let directory = company_directory();
    let mut ldap = connect(&directory).await;
    assert_eq!(bind(&mut ldap, &person("ann"), "").await.rc, 53);
    assert_eq!(bind(&mut ldap, "", "").await.rc, 0);
    assert_eq!(bind(&mut ldap, "nonsense", "demo").await.rc, 34);
}

#[tokio::test]
async fn the_disabled_the_locked_and_the_expired() {
    let directory = company_directory();
    let mut ldap = connect(&directory).await;
    assert_eq!(bind(&mut ldap, &person("nils"), "wrong").await.rc, 49);
    let disabled = bind(&mut ldap, &person("nils"), "demo").await;
    assert_eq!(disabled.rc, 53);
    assert!(disabled.text.contains("inactivated"), "{}", disabled.text);

    let locked = bind(&mut ldap, &person("victor"), "demo").await;
    assert_eq!((locked.rc, locked.ctrls.len()), (49, 0), "nothing is said unasked");
    // SEQUENCE { error [1] accountLocked(1) }
    assert_eq!(bind_with_policy(&mut ldap, &person("victor"), "demo").await, (49, Some(vec![0x30, 3, 0x81, 1, 1])));
    assert_eq!(bind_with_policy(&mut ldap, &person("ann"), "demo").await, (0, Some(vec![0x30, 0])));

    // The account's end is an attribute: whoever asks decides.
    assert_eq!(bind(&mut ldap, &person("paul"), "demo").await.rc, 0);
}

#[tokio::test]
async fn a_reset_password_must_be_changed() {
    let directory = company_directory();
    let mut ldap = admin(&directory).await;
    ldap.modify(&person("ann"), vec![Mod::Replace("pwdReset", ["TRUE"].into())])
        .await
        .expect("an answer")
        .success()
        .expect("succeeds");
    // SEQUENCE { error [1] changeAfterReset(2) }
    let mut ldap = connect(&directory).await;
    assert_eq!(bind_with_policy(&mut ldap, &person("ann"), "demo").await, (0, Some(vec![0x30, 3, 0x81, 1, 2])));
    let change = PasswordModify { user_id: None, old_pass: Some("demo"), new_pass: Some("larkspur-1") };
    ldap.extended(change).await.expect("an answer").success().expect("succeeds");
    assert_eq!(bind_with_policy(&mut ldap, &person("ann"), "larkspur-1").await, (0, Some(vec![0x30, 0])));
}

#[tokio::test]
async fn only_who_is_bound_reads() {
    let directory = company_directory();
    let mut ldap = connect(&directory).await;
    let search = async |ldap: &mut Ldap| {
        ldap.search(company::BASE_DN, Scope::Subtree, "(uid=ann)", vec!["*"]).await.expect("an answer")
    };
    assert_eq!(search(&mut ldap).await.1.rc, 50);
    bind(&mut ldap, "", "").await;
    assert_eq!(search(&mut ldap).await.1.rc, 50);
    bind(&mut ldap, &person("ann"), "demo").await;
    assert_eq!(search(&mut ldap).await.0.len(), 1);
    // A failed bind leaves nobody behind.
    bind(&mut ldap, &person("ann"), "wrong").await;
    assert_eq!(search(&mut ldap).await.1.rc, 50);
}

#[tokio::test]
async fn passwords_are_never_read() {
    let directory = company_directory();
    let mut ldap = admin(&directory).await;
    for attributes in [vec!["*", "+"], vec!["userPassword"], vec!["2.5.4.35"], vec![]] {
        for entry in entries(&mut ldap, company::BASE_DN, Scope::Subtree, "(objectClass=*)", &attributes).await {
            let names = entry.attrs.keys().chain(entry.bin_attrs.keys());
            assert!(!names.into_iter().any(|name| name.eq_ignore_ascii_case("userPassword")), "{}", entry.dn);
        }
    }
    for filter in [
        "(userPassword=demo)",
        "(userPassword=*)",
        "(userPassword=d*)",
        "(!(userPassword=x))",
        "(userPassword:2.5.13.17:=demo)",
        "(2.5.4.35=demo)",
    ] {
        assert!(entries(&mut ldap, company::BASE_DN, Scope::Subtree, filter, &[]).await.is_empty(), "{filter}");
    }
    assert_eq!(ldap.compare(&person("ann"), "userPassword", "demo").await.expect("an answer").0.rc, 50);
}

#[tokio::test]
async fn people_say_who_they_are() {
    let directory = company_directory();
    let mut ldap = connect(&directory).await;
    let name = async |ldap: &mut Ldap| {
        let (answer, _) = ldap.extended(WhoAmI).await.expect("an answer").success().expect("succeeds");
        answer.parse::<WhoAmIResp>().authzid
    };
    assert_eq!(name(&mut ldap).await, "");
    bind(&mut ldap, &person("zoe").to_uppercase(), "demo").await;
    assert_eq!(name(&mut ldap).await, format!("dn:{}", person("zoe")));
}

#[tokio::test]
async fn people_change_their_password() {
    let directory = company_directory();
    let mut ldap = bound(&directory, &person("ann"), "demo").await;
    let change = async |ldap: &mut Ldap, user: Option<&str>, old: Option<&str>, new: Option<&str>| {
        ldap.extended(PasswordModify { user_id: user, old_pass: old, new_pass: new }).await.expect("an answer")
    };
    assert_eq!(change(&mut ldap, None, Some("wrong"), Some("larkspur-1")).await.1.rc, 49);
    assert_eq!(change(&mut ldap, None, Some("demo"), Some("short")).await.1.rc, 19);
    assert_eq!(change(&mut ldap, Some(&person("leo")), None, Some("larkspur-1")).await.1.rc, 50);
    assert_eq!(change(&mut ldap, None, Some("demo"), Some("larkspur-1")).await.1.rc, 0);
    assert_eq!(bind(&mut connect(&directory).await, &person("ann"), "demo").await.rc, 49);
    assert_eq!(bind(&mut connect(&directory).await, &person("ann"), "larkspur-1").await.rc, 0);

    let mut admin = admin(&directory).await;
    assert_eq!(change(&mut admin, Some(&person("leo")), None, Some("larkspur-2")).await.1.rc, 0);
    assert_eq!(bind(&mut connect(&directory).await, &person("leo"), "larkspur-2").await.rc, 0);
    let (answer, _) = change(&mut admin, Some(&person("leo")), None, None).await.success().expect("succeeds");
    let made = answer.parse::<PasswordModifyResp>().gen_pass;
    assert_eq!(bind(&mut connect(&directory).await, &person("leo"), &made).await.rc, 0);

    assert_eq!(change(&mut connect(&directory).await, Some(&person("ann")), None, Some("larkspur-3")).await.1.rc, 50);
}

#[tokio::test]
async fn other_ways_to_bind_are_refused() {
    let directory = company_directory();
    let mut ldap = connect(&directory).await;
    assert_eq!(ldap.sasl_external_bind().await.expect("an answer").rc, 7);
    assert_eq!(
        entries(&mut service(&directory).await, company::SERVICE_DN, Scope::Base, "(objectClass=*)", &["cn"])
            .await
            .len(),
        1
    );
}
