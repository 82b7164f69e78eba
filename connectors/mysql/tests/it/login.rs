//! The connection that reads the log is let in with every kind of account, and talks to whom it should alone.
use crate::support::Server;
use elasticflow_mysql::dump::open;
use mysql_async::prelude::Queryable;
use std::process::id;

/// Logs in and runs a statement; what went wrong.
async fn enters(server: &Server, user: &str, password: &str, extra: &[(&str, &str)]) -> Result<(), String> {
    let account = [("database.user", user), ("database.password", password)];
    let config = server.config(&[&account[..], extra].concat());
    let tls = extra.iter().any(|(key, _)| *key == "database.ssl.mode");
    let mut link = open(&config, tls).await.map_err(|e| e.to_string())?;
    link.run("DO 1").await.map_err(|e| e.to_string())
}

/// An account that is gone when the name is used again.
async fn account(root: &mut mysql_async::Conn, name: &str, identified: &str) {
    root.query_drop(format!("DROP USER IF EXISTS '{name}'@'%'")).await.unwrap();
    root.query_drop(format!("CREATE USER '{name}'@'%' IDENTIFIED {identified}")).await.unwrap();
}

const TLS: &[(&str, &str)] = &[("database.ssl.mode", "required")];

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_account_of_mysql_is_let_in_and_a_wrong_password_is_not() {
    let name = "every_kind_of_account_of_mysql_is_let_in_and_a_wrong_password_is_not";
    let Some(server) = Server::of("EF_MYSQL", name).await else { return };
    let mut root = server.connect_as("root", "elasticflow").await;
    let user = format!("ef_login_{}", id());
    for kind in ["WITH caching_sha2_password BY 'sécret 1'", "WITH mysql_native_password BY 'sécret 1'"] {
        for extra in [&[][..], TLS] {
            account(&mut root, &user, kind).await;
            // The first time the server may ask for the password itself; after that it remembers it.
            for time in 1..3 {
                assert_eq!(enters(&server, &user, "sécret 1", extra).await, Ok(()), "{kind} {extra:?} {time}");
            }
            let refused = enters(&server, &user, "other", extra).await.unwrap_err();
            assert!(refused.contains("1045"), "{kind} {extra:?}: {refused}");
        }
    }
    account(&mut root, &user, "WITH caching_sha2_password BY ''").await;
    assert_eq!(enters(&server, &user, "", &[]).await, Ok(()), "without a password");
    account(&mut root, &user, "WITH sha256_password BY 'secret'").await;
    let refused = enters(&server, &user, "secret", &[]).await.unwrap_err();
    assert!(refused.contains("sha256_password"), "{refused}");
    root.query_drop(format!("DROP USER '{user}'@'%'")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_mariadb_are_let_in_and_a_wrong_password_is_not() {
    let name = "accounts_of_mariadb_are_let_in_and_a_wrong_password_is_not";
    let Some(server) = Server::of("EF_MARIADB", name).await else { return };
    let mut root = server.connect_as("root", "elasticflow").await;
    let user = format!("ef_login_{}", id());
    let mut kinds = vec!["VIA mysql_native_password USING PASSWORD('secret 1')"];
    if root.query_drop("INSTALL SONAME 'auth_ed25519'").await.is_ok() {
        kinds.push("VIA ed25519 USING PASSWORD('secret 1')");
    }
    for kind in kinds {
        account(&mut root, &user, kind).await;
        assert_eq!(enters(&server, &user, "secret 1", &[]).await, Ok(()), "{kind}");
        assert!(enters(&server, &user, "other", &[]).await.unwrap_err().contains("1045"), "{kind}");
    }
    root.query_drop(format!("DROP USER '{user}'@'%'")).await.unwrap();
    let _ = root.query_drop("UNINSTALL SONAME 'auth_ed25519'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_talked_to_under_its_own_authority_alone() {
    let name = "a_server_is_talked_to_under_its_own_authority_alone";
    let Some(server) = Server::of("EF_MYSQL", name).await else { return };
    let mut root = server.connect_as("root", "elasticflow").await;
    let ca: Option<String> = root.query_first("SELECT CONCAT(@@datadir, @@ssl_ca)").await.unwrap();
    let ca = ca.unwrap();
    let (user, password) = (server.user.clone(), server.password.clone());
    let ways = [
        ("required", None, true),
        ("verify_ca", None, false),
        ("verify_ca", Some(ca.as_str()), true),
        ("verify_identity", Some(ca.as_str()), false),
    ];
    for (mode, ca, welcome) in ways {
        let mut extra = vec![("database.ssl.mode", mode)];
        extra.extend(ca.map(|ca| ("database.ssl.ca", ca)));
        let entered = enters(&server, &user, &password, &extra).await;
        assert_eq!(entered.is_ok(), welcome, "{mode} {ca:?}: {entered:?}");
    }
    let missing = [("database.ssl.mode", "verify_ca"), ("database.ssl.ca", "/nowhere/ca.pem")];
    assert!(enters(&server, &user, &password, &missing).await.is_err());
}
