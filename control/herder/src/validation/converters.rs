//! Options of the converters that the configuration chooses.
use super::Input;
use super::framework::CONVERTERS;
use super::report::Report;
use super::transforms::key_of;
use elasticflow_api::registry::{Plugin, PluginEntry};
use elasticflow_config::Properties;
use elasticflow_config::check::{MessageNames, check_key};
use elasticflow_config::infos::key_infos;

pub(super) fn check(input: &Input<'_>, report: &mut Report) {
    for (chooser, kind) in CONVERTERS {
        let chosen = input.resolved.value(chooser).and_then(|name| input.cx.registry.find(kind, name.trim()));
        if let Some(entry) = chosen {
            options(chooser, entry, &input.resolved.below(&format!("{chooser}.")), report);
        }
    }
}

fn options(chooser: &str, entry: &PluginEntry, own: &Properties, report: &mut Report) {
    let role = chooser.strip_suffix(".converter").unwrap_or(chooser);
    let own = own.clone().with("converter.type", role);
    let infos = key_infos(entry.keys);
    // Connect lists the sections of a converter from the last to the first.
    for group in infos.iter().rev().filter_map(|info| info.group.as_deref()) {
        report.group(group);
    }
    let mut wrong = false;
    for mut info in infos {
        let Some(def) = entry.keys.iter().find(|d| d.name == info.name) else { continue };
        let checked = check_key(def, &own, MessageNames { typed: def.name, checked: def.name });
        wrong |= !checked.errors.is_empty();
        info.name = format!("{chooser}.{}", info.name);
        report.add(info, checked, Vec::new());
    }
    if wrong {
        return;
    }
    let failed = match &entry.plugin {
        Plugin::Converter(make) => make(&own, role == "key").err(),
        Plugin::HeaderConverter(make) => make(&own).err(),
        _ => None,
    };
    if let Some(error) = failed {
        let key = match key_of(&error.message, entry.keys) {
            "type" => chooser.to_owned(),
            key => format!("{chooser}.{key}"),
        };
        report.error(&key, error.message);
    }
}
