//! Sources of transactions: which servers' transactions are captured, and what a stored position means to a server that
//! lacks the others.
//!
//! A source is a server's UUID on MySQL; on MariaDB a domain (`7`) or the server in it (`7-101`). Transactions of other sources
//! count as executed however far the server at hand has them: so a server takes over that never had them, or has purged them.
use crate::config::CdcConfig;
use crate::error::{Error, Result};
use crate::gtid::{Gtid, GtidSet, Gtids, MariaGtid, MariaGtids};
use crate::position::{Part, Resume};
use crate::start::text;
use crate::wire::{Flavour, Session};
use elasticflow_cdc::filter::Filter;

/// `gtid.source.includes`, `gtid.source.excludes` and `gtid.source.filter.dml.events`.
#[derive(Debug, Clone)]
pub struct Sources {
    filter: Filter,
    /// Whether rows of other sources are dropped.
    drops: bool,
}

impl Sources {
    /// Reads them; none if all sources are captured.
    ///
    /// # Errors
    /// A pattern cannot be read, or both lists are given.
    pub fn parse(config: &CdcConfig) -> Result<Option<Self>, String> {
        let (includes, excludes) = (config.gtid_includes.as_deref(), config.gtid_excludes.as_deref());
        let given = |list: Option<&str>| list.is_some_and(|text| !text.trim().is_empty());
        if !given(includes) && !given(excludes) {
            return Ok(None);
        }
        Ok(Some(Self { filter: Filter::parse(includes, excludes)?, drops: config.gtid_filter_rows }))
    }

    /// For a task, whose configuration was validated.
    pub fn of_task(config: &CdcConfig) -> Result<Option<Self>> {
        Self::parse(config).map_err(|reason| Error::Preflight { text: format!("gtid.source.includes: {reason}") })
    }

    /// Whether the rows of a transaction are dropped.
    pub fn drops(&self, gtid: &Gtid) -> bool {
        self.drops && !self.allows(gtid)
    }

    fn allows(&self, gtid: &Gtid) -> bool {
        match gtid {
            Gtid::MySql(gtid) => self.filter.allows(&gtid.source.uuid.to_string()),
            Gtid::Maria(gtid) => self.allows_maria(*gtid),
        }
    }

    /// By the text of an id; one that cannot be read is met in the log.
    fn allows_text(&self, gtid: &str) -> bool {
        match gtid.split_once(':') {
            Some((uuid, _)) => self.filter.allows(uuid),
            None => MariaGtids::list(gtid).map_or(true, |all| all.iter().all(|g| self.allows_maria(*g))),
        }
    }

    fn allows_maria(&self, gtid: MariaGtid) -> bool {
        let names = [gtid.domain.to_string(), format!("{}-{}", gtid.domain, gtid.server)];
        self.filter.allows_any(&names)
    }

    /// What a stored position means to a server that has executed and purged these transactions.
    fn on_mysql(&self, ours: &GtidSet, executed: &GtidSet, purged: &GtidSet, resends: bool) -> GtidSet {
        let captured = |set: &GtidSet| set.retained(|source| self.filter.allows(&source.uuid.to_string()));
        let others = |set: &GtidSet| set.subtract(&captured(set));
        let kept = captured(ours);
        if self.drops && !resends {
            return kept.union(&others(executed));
        }
        // What was read is not read again, as far as the server has it; what it has purged cannot be read.
        let known = ours.subtract(&ours.subtract(executed));
        kept.union(&others(&known)).union(&others(purged))
    }

    /// The same on MariaDB, which keeps the last transaction of each domain; `state` has that of each server in each.
    fn on_maria(&self, ours: &MariaGtids, state: &[MariaGtid]) -> MariaGtids {
        let mut kept = MariaGtids::default();
        let of_domain = |domain: u32| state.iter().filter(move |g| g.domain == domain);
        let captured = |domain: u32| of_domain(domain).any(|g| self.allows_maria(*g));
        for gtid in ours.iter() {
            let known = || of_domain(gtid.domain).any(|g| g.server == gtid.server && g.sequence >= gtid.sequence);
            // A captured domain of which the server knows nothing stays: that is an error.
            if self.allows_maria(gtid) || captured(gtid.domain) || !self.drops && known() {
                kept.add(gtid);
            }
        }
        // Domains without a captured server are read from their present end: what is before may be purged.
        let others = state.iter().filter(|g| !captured(g.domain) && !kept.has(g.domain)).copied();
        for gtid in others.collect::<Vec<_>>() {
            kept.add(gtid);
        }
        kept
    }

    /// Turns a position into one that the server at hand can be asked for.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn known(&self, session: &mut Session, mut resume: Resume) -> Result<Resume> {
        let unreadable = |reason| Error::OffsetUndecodable { reason };
        // The rest of a transaction of a source that is captured no more is not wanted, and will not come.
        if self.drops && resume.part.gtid.as_deref().is_some_and(|open| !self.allows_text(open)) {
            resume.part = Part::default();
        }
        resume.gtids = match &resume.gtids {
            Gtids::Off => Gtids::Off,
            Gtids::MySql(ours) if session.flavour == Flavour::MySql => {
                let executed = crate::start::executed(session).await?;
                let purged = text(session, "SELECT @@GLOBAL.gtid_purged").await?.unwrap_or_default();
                let purged = GtidSet::parse(&purged).map_err(unreadable)?;
                // The open transaction may be of a source that is captured no more, and must be met to be passed.
                let resends = resume.part.is_open() && resume.part.gtid.is_none();
                Gtids::MySql(self.on_mysql(ours, &executed, &purged, resends))
            }
            Gtids::Maria(ours) if session.flavour == Flavour::MariaDb => {
                let state = text(session, "SELECT @@GLOBAL.gtid_binlog_state").await?.unwrap_or_default();
                Gtids::Maria(self.on_maria(ours, &MariaGtids::list(&state).map_err(unreadable)?))
            }
            other @ (Gtids::MySql(_) | Gtids::Maria(_)) => other.clone(),
        };
        Ok(resume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaa-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "bbbbbbbb-71ca-11e1-9e33-c80aa9429562";

    fn sources(includes: &str, excludes: &str, drops: bool) -> Sources {
        Sources { filter: Filter::parse(Some(includes), Some(excludes)).unwrap(), drops }
    }

    fn set(text: &str) -> GtidSet {
        GtidSet::parse(text).unwrap()
    }

    #[test]
    fn other_sources_count_as_executed_as_far_as_the_server_has_them() {
        let (ours, executed) = (set(&format!("{A}:1-10,{B}:1-20")), set(&format!("{A}:1-12,{B}:5-7")));
        for of in [sources("aaaa.*", "", true), sources("", "bbbb.*", true)] {
            let asked = of.on_mysql(&ours, &executed, &GtidSet::default(), false);
            assert_eq!(asked, set(&format!("{A}:1-10,{B}:5-7")));
        }
    }

    #[test]
    fn rows_that_are_wanted_are_not_read_twice_and_purged_ones_are_no_loss() {
        let (ours, executed) = (set(&format!("{A}:1-10,{B}:1-20")), set(&format!("{A}:1-12,{B}:1-30")));
        let asked = sources("", B, false).on_mysql(&ours, &executed, &set(&format!("{A}:1-11,{B}:1-25")), false);
        assert_eq!(asked, set(&format!("{A}:1-10,{B}:1-25")));
    }

    #[test]
    fn domains_of_other_servers_are_read_from_their_end_and_mixed_ones_where_they_stood() {
        let of = sources("", "7,0-2", true);
        let (ours, state) = ("0-1-5,7-9-3,8-1-1", "0-1-5,0-2-9,7-9-30,9-1-4");
        let asked = of.on_maria(&MariaGtids::parse(ours).unwrap(), &MariaGtids::list(state).unwrap());
        assert_eq!(asked.to_string(), "0-1-5,7-9-30,8-1-1");
        let without = of.on_maria(&MariaGtids::parse("0-1-5,7-9-3").unwrap(), &MariaGtids::list("0-1-5").unwrap());
        assert_eq!(without.to_string(), "0-1-5");
    }

    #[test]
    fn the_text_of_an_open_transaction_tells_its_source() {
        let of = sources("", &format!("{B},7"), true);
        assert!(of.allows_text(&format!("{A}:5")) && !of.allows_text(&format!("{B}:tag:5")));
        assert!(of.allows_text("0-1-5") && !of.allows_text("7-1-5"));
    }

    #[test]
    fn only_rows_of_other_sources_are_dropped() {
        let gtid = |uuid: &str| {
            Gtid::MySql(crate::gtid::MySqlGtid::new(*uuid::Uuid::parse_str(uuid).unwrap().as_bytes(), "", 1))
        };
        let of = sources(&format!("{A},cccc.*"), "", true);
        assert!(!of.drops(&gtid(A)) && of.drops(&gtid(B)));
        assert!(!sources(A, "", false).drops(&gtid(B)));
        assert!(sources("7", "", true).drops(&Gtid::Maria(MariaGtid { domain: 0, server: 7, sequence: 1 })));
        assert!(!sources("", "0-2", true).drops(&Gtid::Maria(MariaGtid { domain: 0, server: 1, sequence: 1 })));
    }
}
