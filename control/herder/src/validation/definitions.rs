//! Definitions of a plug-in's keys, without values.
use elasticflow_api::registry::{Plugin, PluginEntry};
use elasticflow_config::KeyInfo;
use elasticflow_config::connector::ConnectorSettings;
use elasticflow_config::infos::key_infos;

/// `GET /connector-plugins/{plugin}/config`: its own keys, then for connectors the framework's.
pub fn definitions(entry: &PluginEntry) -> Vec<KeyInfo> {
    let framework = match entry.plugin {
        Plugin::Source(_) => ConnectorSettings::source_keys(),
        Plugin::Sink(_) => ConnectorSettings::sink_keys(),
        _ => Vec::new(),
    };
    let mut infos = key_infos(entry.keys);
    infos.retain(|info| framework.iter().all(|key| key.name != info.name));
    infos.extend(framework.into_iter().map(|key| {
        let mut info = KeyInfo::new(key.name, key);
        if key.name == "connector.plugin.version" {
            info.default_value = Some(entry.version.to_owned());
        }
        info
    }));
    infos
}
