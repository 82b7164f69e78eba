use super::*;

const CLASSES: &str = "org.apache.kafka.common.config.provider.";

fn worker() -> Properties {
    Properties::default()
        .with("config.providers", "file, env,dir")
        .with("config.providers.file.class", format!("{CLASSES}FileConfigProvider"))
        .with("config.providers.env.class", format!("{CLASSES}EnvVarConfigProvider"))
        .with("config.providers.dir.class", format!("{CLASSES}DirectoryConfigProvider"))
}

fn resolver(worker: &Properties) -> Resolver {
    let env = |name: &str| (name == "DB_PASSWORD").then(|| "hunter2".to_owned());
    Resolver::from_worker(worker).unwrap().with_env(Arc::new(env))
}

fn secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.properties"), "user=scott\npassword = tiger\nnested=${env:DB_PASSWORD}")
        .unwrap();
    std::fs::write(folder.path().join("token"), "t0ken").unwrap();
    folder
}

#[test]
fn resolves_several_references_in_one_value() {
    let folder = secrets();
    let dir = folder.path().display();
    let url = format!("jdbc:${{file:{dir}/s.properties:user}}:${{env:DB_PASSWORD}}@${{dir:{dir}:token}}!");
    let resolved =
        resolver(&worker()).resolve(&Properties::from_iter([("url", url.as_str()), ("plain", "x")])).unwrap();
    assert_eq!(resolved.properties.value("url"), Some("jdbc:scott:hunter2@t0ken!"));
    assert_eq!(resolved.secret_keys, BTreeSet::from(["url".to_owned()]));
    assert!(!format!("{resolved:?}").contains("hunter2"));
}

#[test]
fn the_value_of_a_reference_is_not_expanded_again() {
    let folder = secrets();
    let reference = format!("${{file:{}/s.properties:nested}}", folder.path().display());
    let resolved = resolver(&worker()).resolve(&Properties::default().with("a", reference)).unwrap();
    assert_eq!(resolved.properties.value("a"), Some("${env:DB_PASSWORD}"));
}

#[test]
fn what_no_provider_has_stays_and_is_listed() {
    let folder = secrets();
    let unknown =
        ["${vault:a:b}", "${env:NOPE}", "${topic}", &format!("${{file:{}/s.properties:zz}}", folder.path().display())];
    for text in unknown {
        let resolved = resolver(&worker()).resolve(&Properties::default().with("a", text)).unwrap();
        assert_eq!(resolved.properties.value("a"), Some(text));
        assert_eq!(resolved.unresolved.len(), usize::from(text.contains(':')), "{text}");
    }
}

#[test]
fn an_unreadable_file_names_the_key_and_the_reference() {
    let text = "${file:/nonexistent/s.properties:password}";
    let error = resolver(&worker()).resolve(&Properties::default().with("database.password", text)).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("database.password: could not read /nonexistent/s.properties"), "{message}");
    assert!(message.contains(text), "{message}");
}

#[test]
fn paths_outside_the_allowed_ones_are_refused_links_included() {
    let (allowed, outside) = (secrets(), secrets());
    std::os::unix::fs::symlink(outside.path().join("s.properties"), allowed.path().join("link.properties")).unwrap();
    let worker = worker()
        .with("config.providers.file.param.allowed.paths", allowed.path().display().to_string())
        .with("config.providers.dir.param.allowed.paths", allowed.path().display().to_string());
    let resolve = |text: String| resolver(&worker).resolve(&Properties::default().with("a", text));
    assert!(resolve(format!("${{file:{}/s.properties:user}}", allowed.path().display())).is_ok());
    for text in [
        format!("${{file:{}/s.properties:user}}", outside.path().display()),
        format!("${{file:{}/link.properties:user}}", allowed.path().display()),
        format!(
            "${{file:{}/../{}/s.properties:user}}",
            allowed.path().display(),
            outside.path().file_name().unwrap().display()
        ),
        format!("${{dir:{}:token}}", outside.path().display()),
        format!("${{dir:{}:../token}}", allowed.path().display()),
    ] {
        let error = resolve(text.clone()).unwrap_err();
        assert!(matches!(error, ReferenceError::NotAllowed { .. }), "{text}: {error}");
        assert!(error.to_string().contains("param.allowed.paths"), "{error}");
    }
}

#[test]
fn environment_variables_outside_the_pattern_are_refused() {
    let worker = worker().with("config.providers.env.param.allowlist.pattern", "CONNECT_.*");
    let error = resolver(&worker).resolve(&Properties::default().with("a", "${env:DB_PASSWORD}")).unwrap_err();
    assert!(matches!(error, ReferenceError::NotAllowed { .. }), "{error}");
}

#[test]
fn unknown_and_missing_provider_classes_are_refused() {
    let unknown = worker().with("config.providers.env.class", "org.example.VaultProvider");
    assert!(Resolver::from_worker(&unknown).err().unwrap().to_string().contains("unknown provider"));
    let missing = Properties::default().with("config.providers", "x");
    assert_eq!(Resolver::from_worker(&missing).err().unwrap().key, "config.providers.x.class");
}

#[test]
fn open_providers_are_named() {
    assert_eq!(resolver(&worker()).unrestricted().len(), 3);
    assert!(Resolver::default().unrestricted().is_empty());
}
