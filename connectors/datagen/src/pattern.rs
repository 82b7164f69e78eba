//! Texts that a pattern allows: characters, classes, groups, alternatives, and how often each of them.
use crate::random::Random;

/// Deepest nesting of groups.
const DEPTH_MAX: u32 = 8;
/// What stands for "as often as you like".
const OPEN_END: u32 = 8;
/// Longest text of a pattern.
const TEXT_MAX: u64 = 10 << 10;
/// Longest pattern.
const PATTERN_MAX: usize = 4096;

/// A pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<Branch>);

/// One of several alternatives: parts in a row.
type Branch = Vec<(Part, u32, u32)>;

#[derive(Debug, Clone)]
enum Part {
    /// One of the characters of some ranges.
    Class(Vec<(char, char)>),
    Group(Pattern),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong, or not understood.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_MAX {
            return Err(format!("a pattern has at most {PATTERN_MAX} bytes"));
        }
        let mut reader = Reader(text.chars().peekable());
        let pattern = reader.pattern(DEPTH_MAX)?;
        if reader.0.next().is_some() {
            return Err("a closing parenthesis without its opening one".to_owned());
        }
        if pattern.longest() > TEXT_MAX {
            return Err(format!("the pattern allows texts of more than {TEXT_MAX} characters"));
        }
        Ok(pattern)
    }

    fn longest(&self) -> u64 {
        let part = |(part, _, most): &(Part, u32, u32)| match part {
            Part::Class(_) => u64::from(*most),
            Part::Group(group) => group.longest().saturating_mul(u64::from(*most)),
        };
        let branch = |branch: &Branch| branch.iter().map(part).fold(0, u64::saturating_add);
        self.0.iter().map(branch).max().unwrap_or(0)
    }

    /// Adds a text to `out`.
    pub(crate) fn write(&self, random: &mut Random, out: &mut String) {
        let at = usize::try_from(random.below(self.0.len() as u64)).unwrap_or(0);
        for (part, least, most) in self.0.get(at).into_iter().flatten() {
            for _ in 0..random.between(i64::from(*least), i64::from(*most)) {
                match part {
                    Part::Class(ranges) => out.extend(character(ranges, random)),
                    Part::Group(group) => group.write(random, out),
                }
            }
        }
    }
}

fn character(ranges: &[(char, char)], random: &mut Random) -> Option<char> {
    let size = |(first, last): &(char, char)| u64::from(u32::from(*last) - u32::from(*first)) + 1;
    let mut at = random.below(ranges.iter().map(size).sum());
    for range in ranges {
        if at < size(range) {
            let code = u32::from(range.0) + u32::try_from(at).ok()?;
            return char::from_u32(code).or(Some(range.0));
        }
        at -= size(range);
    }
    None
}

struct Reader<'a>(std::iter::Peekable<std::str::Chars<'a>>);

impl Reader<'_> {
    fn pattern(&mut self, depth: u32) -> Result<Pattern, String> {
        let depth = depth.checked_sub(1).ok_or("groups are nested too deeply")?;
        let mut branches = vec![Branch::new()];
        while let Some(next) = self.0.next_if(|next| *next != ')') {
            let part = match next {
                '|' => {
                    branches.push(Branch::new());
                    continue;
                }
                '^' | '$' => continue,
                '(' => self.group(depth)?,
                '[' => self.class()?,
                '.' => Part::Class(vec![(' ', '~')]),
                '\\' => Part::Class(self.escaped()?),
                '*' | '+' | '?' | '{' => return Err(format!("{next} stands behind nothing")),
                other => Part::Class(vec![(other, other)]),
            };
            let (least, most) = self.count()?;
            if let Some(branch) = branches.last_mut() {
                branch.push((part, least, most));
            }
        }
        Ok(Pattern(branches))
    }

    fn group(&mut self, depth: u32) -> Result<Part, String> {
        if self.0.next_if_eq(&'?').is_some() && self.0.next() != Some(':') {
            return Err("of groups with a question mark only (?:…) is understood".to_owned());
        }
        let group = self.pattern(depth)?;
        self.0.next_if_eq(&')').ok_or("an opening parenthesis without its closing one")?;
        Ok(Part::Group(group))
    }

    fn class(&mut self) -> Result<Part, String> {
        if self.0.peek() == Some(&'^') {
            return Err("classes of what is not allowed are not understood".to_owned());
        }
        let mut ranges = Vec::new();
        loop {
            match self.0.next().ok_or("a class without its closing bracket")? {
                ']' if !ranges.is_empty() => return Ok(Part::Class(ranges)),
                '\\' => ranges.extend(self.escaped()?),
                first => {
                    let mut ahead = self.0.clone();
                    let last = match (ahead.next(), ahead.next()) {
                        (Some('-'), Some(last)) if last != ']' => {
                            self.0 = ahead;
                            last
                        }
                        _ => first,
                    };
                    if last < first {
                        return Err(format!("{first}-{last} is no range"));
                    }
                    ranges.push((first, last));
                }
            }
        }
    }

    fn escaped(&mut self) -> Result<Vec<(char, char)>, String> {
        match self.0.next().ok_or("a pattern cannot end with a backslash")? {
            'd' => Ok(vec![('0', '9')]),
            'w' => Ok(vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')]),
            's' => Ok(vec![(' ', ' ')]),
            other if other.is_ascii_alphanumeric() => Err(format!("\\{other} is not understood")),
            other => Ok(vec![(other, other)]),
        }
    }

    fn count(&mut self) -> Result<(u32, u32), String> {
        match self.0.peek() {
            Some('?') => self.counted((0, 1)),
            Some('*') => self.counted((0, OPEN_END)),
            Some('+') => self.counted((1, OPEN_END)),
            Some('{') => {
                self.0.next();
                let text: String = std::iter::from_fn(|| self.0.next_if(|next| *next != '}')).collect();
                self.0.next().ok_or("a count without its closing brace")?;
                let number = |text: &str| text.trim().parse::<u32>().map_err(|_| format!("{{{text}}} is no count"));
                let (least, most) = match text.split_once(',') {
                    None => (number(&text)?, number(&text)?),
                    Some((least, "")) => (number(least)?, number(least)?.saturating_add(OPEN_END)),
                    Some((least, most)) => (number(least)?, number(most)?),
                };
                if least <= most { Ok((least, most)) } else { Err(format!("{{{text}}} is no count")) }
            }
            _ => Ok((1, 1)),
        }
    }

    fn counted(&mut self, count: (u32, u32)) -> Result<(u32, u32), String> {
        self.0.next();
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_that_the_pattern_allows() {
        for pattern in
            ["User_[1-9]", "Page_[1-9][0-9]?", "[A-Z]{3}-\\d{2,4}", "(?:red|green|blue){2}x*", "a.b\\.c|[-_]+"]
        {
            let read = Pattern::parse(pattern).unwrap();
            let whole = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
            for n in 0..200 {
                let mut text = String::new();
                read.write(&mut Random::of_record(3, 0, n), &mut text);
                assert!(whole.is_match(&text), "{pattern}: {text:?}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (pattern, problem) in [
            ("[^a]", "not allowed"),
            ("(a", "closing one"),
            ("a)", "opening one"),
            ("[z-a]", "no range"),
            ("[a", "closing bracket"),
            ("a{2,1}", "no count"),
            ("a{", "closing brace"),
            ("*a", "behind nothing"),
            ("\\b", "not understood"),
            ("(?=a)", "only (?:"),
            ("(a{1000}){1000}", "more than"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.contains(problem), "{pattern}: {error}");
        }
        assert!(Pattern::parse(&"(".repeat(20)).unwrap_err().contains("deeply"));
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_is_read_or_refused(text in r"[a-c()\[\]{}|?*+\\,0-9.^$-]{0,40}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                pattern.write(&mut Random::of_record(1, 0, 0), &mut String::new());
            }
        }
    }
}
