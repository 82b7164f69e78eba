//! Transforms and predicates: `transforms.<alias>.*`, `predicates.<alias>.*`.
use super::Input;
use super::classes::{Named, classes, named};
use super::report::Report;
use super::version::mismatch;
use elasticflow_api::registry::{Plugin, PluginEntry, PluginKind};
use elasticflow_config::check::{Checked, MessageNames, check_key, list};
use elasticflow_config::{Importance, KeyDef, KeyInfo, KeyType, Properties, Width};

/// The words of one of the two families.
struct Family {
    /// Key that lists the aliases, and prefix of what belongs to them.
    list: &'static str,
    /// Beginning of the section's name.
    section: &'static str,
    /// What one is called.
    one: &'static str,
    kind: PluginKind,
}

const FAMILIES: [Family; 2] = [
    Family { list: "transforms", section: "Transforms", one: "Transformation", kind: PluginKind::Transformation },
    Family { list: "predicates", section: "Predicates", one: "Predicate", kind: PluginKind::Predicate },
];

pub(super) fn check(input: &Input<'_>, report: &mut Report) {
    for family in &FAMILIES {
        let mut seen: Vec<&str> = Vec::new();
        for alias in list(input.resolved.value(family.list).unwrap_or("")) {
            if !alias.is_empty() && !seen.contains(&alias) {
                seen.push(alias);
                Member::new(family, alias).check(input, report);
            }
        }
    }
}

/// One alias.
struct Member<'a> {
    family: &'a Family,
    alias: &'a str,
    prefix: String,
    section: String,
}

impl<'a> Member<'a> {
    fn new(family: &'a Family, alias: &'a str) -> Self {
        let prefix = format!("{}.{alias}.", family.list);
        Self { family, alias, prefix, section: format!("{}: {alias}", family.section) }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn check(&self, input: &Input<'_>, report: &mut Report) {
        report.group(&self.section);
        let own = input.resolved.below(&self.prefix);
        let (entry, class) = self.class(&own, input);
        let recommended = classes(&input.cx.registry, self.family.kind);
        let info = self.framework_key("type", KeyType::Class, &format!("{} type for {}", self.family.one, self.alias));
        report.add(KeyInfo { required: true, ..info.placed(&self.section, 0) }, class, recommended);
        self.version(entry, &own, report);
        let Some(entry) = entry else { return };
        let mut order = 2;
        for def in entry.keys.iter().filter(|k| !k.hidden && !k.name.ends_with('*')) {
            self.add(def, order, &own, report);
            order += 1;
        }
        if self.family.kind == PluginKind::Transformation {
            self.condition(order, input, &own, report);
        }
        self.try_out(entry, &own, report);
    }

    fn class<'r>(&self, own: &Properties, input: &'r Input<'_>) -> (Option<&'r PluginEntry>, Checked) {
        let key = self.key("type");
        let Some(name) = own.value("type") else {
            let missing = format!("Missing required configuration \"{key}\" which has no default value.");
            return (None, Checked { value: None, errors: vec![missing] });
        };
        match named(&input.cx.registry, self.family.kind, &key, name) {
            Named::Plugin(entry) => (Some(entry), Checked { value: Some(entry.class.to_owned()), errors: Vec::new() }),
            Named::Wrong { message, class } => (None, Checked { value: class, errors: vec![message] }),
        }
    }

    fn version(&self, entry: Option<&PluginEntry>, own: &Properties, report: &mut Report) {
        let display = format!("{} version for {}", self.family.one, self.alias);
        let mut info = self.framework_key("plugin.version", KeyType::String, &display).placed(&self.section, 1);
        info.default_value = entry.map(|e| e.version.to_owned());
        let posted = own.value("plugin.version");
        let misfit = entry.and_then(|e| mismatch(e.class, e.version, posted?));
        let value = entry.map(|e| posted.unwrap_or(e.version).trim().to_owned());
        let recommended = info.default_value.clone().into_iter().collect();
        report.add(info, Checked { value, errors: misfit.into_iter().collect() }, recommended);
    }

    fn framework_key(&self, name: &str, kind: KeyType, display: &str) -> KeyInfo {
        let def = KeyDef::new::<String>("", &[display]).kind(kind).importance(Importance::High).width(Width::Long);
        let info = KeyInfo::new(&self.key(name), &def);
        KeyInfo { display_name: display.to_owned(), required: false, ..info }
    }

    fn add(&self, def: &KeyDef, order: i32, own: &Properties, report: &mut Report) {
        let full = self.key(def.name);
        let checked = check_key(def, own, MessageNames { typed: &full, checked: def.name });
        let info = KeyInfo::new(&full, def).placed(&self.section, order);
        report.add(
            KeyInfo { width: Width::None.name(), display_name: def.name.to_owned(), ..info },
            checked,
            Vec::new(),
        );
    }

    /// `predicate` and `negate` of a transform.
    fn condition(&self, order: i32, input: &Input<'_>, own: &Properties, report: &mut Report) {
        let predicate = KeyDef::new::<Option<String>>(
            "predicate",
            &["Alias of the predicate that decides whether the transform applies."],
        );
        let negate = KeyDef::new::<bool>("negate", &["Whether the transform applies where the predicate does not."])
            .default("false");
        self.add(&predicate, order, own, report);
        self.add(&negate, order + 1, own, report);
        match own.value("predicate").map(str::trim) {
            None if own.value("negate").is_some() => {
                let (negate, predicate) = (self.key("negate"), self.key("predicate"));
                let message = format!(
                    "Config '{negate}' was provided but there is no config '{predicate}' defining a predicate to be negated."
                );
                report.error(&self.key("type"), message);
            }
            Some(alias) if !list(input.resolved.value("predicates").unwrap_or("")).contains(&alias) => {
                let key = self.key("predicate");
                report
                    .error(&key, format!("Invalid value {alias} for configuration {key}: predicates does not list it"));
            }
            _ => {}
        }
    }

    /// Builds the plug-in once, so that what its keys alone do not show is found before a task fails on it.
    fn try_out(&self, entry: &PluginEntry, own: &Properties, report: &mut Report) {
        let wrong = entry.keys.iter().any(|def| report.has_error(&self.key(def.name)));
        if wrong {
            return;
        }
        let failed = match &entry.plugin {
            Plugin::Transform(make) => make(own).err(),
            Plugin::Predicate(make) => make(own).err(),
            _ => None,
        };
        if let Some(error) = failed {
            report.error(&self.key(key_of(&error.message, entry.keys)), error.message);
        }
    }
}

/// The key that a message is about, else the class.
pub(super) fn key_of(message: &str, keys: &[KeyDef]) -> &'static str {
    let about = keys.iter().find(|def| message.contains(&format!("for configuration {}:", def.name)));
    about.map_or("type", |def| def.name)
}
