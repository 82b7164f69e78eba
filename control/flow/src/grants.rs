//! Hard caps: how many further bytes each source may send to topics whose unconsumed bytes are bounded.

/// A source of a capped topic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grantee {
    /// 0 to 9, 9 the most important.
    pub priority: u8,
    /// Share inside its class.
    pub weight: f64,
    /// Bytes allowed and not covered by the sample.
    pub outstanding: f64,
    /// Bytes that it gets before any class is served.
    pub floor: f64,
    /// Bytes that it could use.
    pub want: f64,
}

/// A topic whose unconsumed bytes are bounded.
#[derive(Debug, Clone, PartialEq)]
pub struct Capped {
    /// Most unconsumed bytes.
    pub cap: f64,
    /// Unconsumed bytes; what is not known is no room.
    pub unconsumed: Option<f64>,
    /// The sources that write it, by their place among all.
    pub fed_by: Vec<usize>,
}

/// Needs smaller than this are met.
const MET: f64 = 1e-9;

/// Further bytes for each source: floors first, then classes from high to low, by weight inside a class; together never
/// more than the cap leaves over once everything that was granted before has been sent.
pub fn grant(cap: f64, unconsumed: f64, sources: &[Grantee]) -> Vec<f64> {
    let mut granted = vec![0.0; sources.len()];
    let mut room = cap - unconsumed - sources.iter().map(|s| s.outstanding).sum::<f64>();
    // Also when nothing is known: a room that is not a number grants nothing.
    if room.is_nan() || room <= 0.0 {
        return granted;
    }
    let floors: Vec<f64> = sources.iter().map(|s| (s.floor - s.outstanding).max(0.0)).collect();
    share_out(&mut room, &mut granted, &floors, sources, |_| true);
    let wants: Vec<f64> = sources.iter().map(|s| (s.want - s.outstanding).max(0.0)).collect();
    let mut classes: Vec<u8> = sources.iter().map(|s| s.priority).collect();
    classes.sort_unstable_by(|a, b| b.cmp(a));
    classes.dedup();
    for class in classes {
        share_out(&mut room, &mut granted, &wants, sources, |s| s.priority == class);
    }
    granted
}

/// Further bytes for each source, as many as the topic with the least room lets it have.
///
/// A source may turn from one of its topics to another at any moment: whatever share a topic had of it so far, all that it
/// was granted and that has not arrived may arrive there. So all of it counts at each of its topics. A source of no topic
/// gets nothing.
pub fn grant_among(topics: &[Capped], sources: &[Grantee]) -> Vec<f64> {
    let mut least: Vec<Option<f64>> = vec![None; sources.len()];
    for topic in topics {
        let feeding: Vec<(usize, Grantee)> =
            topic.fed_by.iter().filter_map(|at| Some((*at, *sources.get(*at)?))).collect();
        let rows: Vec<Grantee> = feeding.iter().map(|(_, source)| *source).collect();
        let granted = grant(topic.cap, topic.unconsumed.unwrap_or(f64::INFINITY), &rows);
        for ((at, _), bytes) in feeding.iter().zip(granted) {
            if let Some(known) = least.get_mut(*at) {
                *known = Some(known.map_or(bytes, |known| known.min(bytes)));
            }
        }
    }
    least.into_iter().map(Option::unwrap_or_default).collect()
}

/// Divides room by weight among those who still need it.
fn share_out(
    room: &mut f64,
    granted: &mut [f64],
    needs: &[f64],
    sources: &[Grantee],
    takes_part: impl Fn(&Grantee) -> bool,
) {
    loop {
        let mut lacking = Vec::new();
        for (at, source) in sources.iter().enumerate() {
            let lacks = needs[at] - granted[at];
            if takes_part(source) && lacks > MET {
                lacking.push((at, source.weight, lacks));
            }
        }
        if lacking.is_empty() || *room <= MET {
            return;
        }
        let total: f64 = lacking.iter().map(|(_, weight, _)| weight).sum();
        let nearest = lacking.iter().map(|(_, weight, lacks)| lacks / weight).fold(f64::INFINITY, f64::min);
        let step = (*room / total).min(nearest);
        for (at, weight, _) in &lacking {
            granted[*at] += step * weight;
        }
        *room -= step * total;
    }
}
