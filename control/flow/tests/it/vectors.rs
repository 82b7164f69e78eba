//! Recorded inputs and outputs of the reference model, to a relative 1e-9.
use elasticflow_flow::{Grantee, Group, Law, Mode, Pressure, PressureLaw, Sample, Source, Why, allocate, grant};
use serde_json::Value;

const VECTORS: &str = include_str!("../golden/vectors.jsonl");

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("inf") => f64::INFINITY,
        _ => value.as_f64().unwrap_or_else(|| panic!("{value} is not a number")),
    }
}

fn close(got: f64, wanted: f64) -> bool {
    got == wanted || (got - wanted).abs() <= 1e-9 * wanted.abs().max(1.0)
}

fn check(line: usize, what: &str, got: f64, wanted: &Value) {
    let wanted = number(wanted);
    assert!(close(got, wanted), "line {line}: {what} is {got}, the model says {wanted}");
}

fn why(text: &str) -> Why {
    match text {
        "" => Why::Nothing,
        "lag" => Why::Lag,
        "no lag data" => Why::NoData,
        "no lag data: held" => Why::NoDataHeld,
        "no lag data: safe rate" => Why::NoDataSafe,
        other => panic!("the model knows a reason {other} that is not known here"),
    }
}

fn group(value: &Value) -> Group {
    Group {
        mode: if value["mode"] == "FREE" { Mode::Free } else { Mode::Limited },
        capacity: number(&value["cap"]),
        integral: number(&value["integral"]),
        limit: number(&value["limit"]),
        lag: number(&value["lag"]),
        calm: i32::try_from(value["calm"].as_i64().unwrap()).unwrap(),
        age: number(&value["age"]),
        why: why(value["reason"].as_str().unwrap()),
    }
}

fn step_of_a_group(line: usize, vector: &Value) {
    let x = &vector["sample"];
    let sample = Sample {
        lag: x["lag"].as_f64(),
        drained: number(&x["drained"]),
        inflow: number(&x["inflow"]),
        floors: number(&x["floors"]),
        elapsed: number(&x["dt"]),
    };
    let (got, next) = (group(&vector["state"]).step(&sample, &Law::default()), &vector["next"]);
    let wanted = group(next);
    assert_eq!((got.mode, got.calm, got.why), (wanted.mode, wanted.calm, wanted.why), "line {line}");
    check(line, "capacity", got.capacity, &next["cap"]);
    check(line, "integral", got.integral, &next["integral"]);
    check(line, "limit", got.limit, &next["limit"]);
    check(line, "lag", got.lag, &next["lag"]);
    check(line, "age", got.age, &next["age"]);
}

fn step_of_a_worker(line: usize, vector: &Value) {
    let count = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
    let state = &vector["state"];
    let before = Pressure { limit: number(&state["limit"]), hot: count(&state["hot"]), calm: count(&state["calm"]) };
    let got = before.step(number(&vector["load"]), number(&vector["rate"]), &PressureLaw::default());
    let next = &vector["next"];
    check(line, "limit", got.limit, &next["limit"]);
    assert_eq!((got.hot, got.calm), (count(&next["hot"]), count(&next["calm"])), "line {line}");
}

fn allocation(line: usize, vector: &Value) {
    let limits = vector["limits"].as_object().unwrap();
    let numbers: Vec<&String> = limits.keys().collect();
    let shares = |of: &Value| {
        let at = |name: &String| numbers.iter().position(|n| *n == name).unwrap();
        of.as_object().unwrap().iter().map(|(name, share)| (at(name), number(share))).collect()
    };
    let listed = vector["sources"].as_array().unwrap();
    let source = |of: &Value| Source {
        priority: u8::try_from(of["prio"].as_u64().unwrap()).unwrap(),
        weight: number(&of["weight"]),
        floor: number(&of["floor"]),
        rate_max: number(&of["rate_max"]),
        demand: number(&of["demand"]),
        shares: shares(&of["share"]),
    };
    let sources: Vec<Source> = listed.iter().map(source).collect();
    let caps: Vec<f64> = limits.values().map(number).collect();
    for (of, got) in listed.iter().zip(allocate(&sources, &caps)) {
        let name = of["name"].as_str().unwrap();
        check(line, name, got, &vector["rates"][name]);
    }
}

fn granting(line: usize, vector: &Value) {
    let rows: Vec<&Vec<Value>> = vector["sources"].as_array().unwrap().iter().map(|r| r.as_array().unwrap()).collect();
    let grantee = |row: &&Vec<Value>| Grantee {
        priority: u8::try_from(row[1].as_u64().unwrap()).unwrap(),
        weight: number(&row[2]),
        outstanding: number(&row[3]),
        floor: number(&row[4]),
        want: number(&row[5]),
    };
    let sources: Vec<Grantee> = rows.iter().map(grantee).collect();
    let granted = grant(number(&vector["cap"]), number(&vector["unconsumed"]), &sources);
    for (row, got) in rows.iter().zip(granted) {
        let name = row[0].as_str().unwrap();
        check(line, name, got, &vector["grants"][name]);
    }
}

#[test]
fn every_function_gives_what_the_reference_model_gives() {
    let mut seen = [0; 4];
    for (at, text) in VECTORS.lines().enumerate() {
        let vector: Value = serde_json::from_str(text).unwrap();
        let (number, line) = (&vector["fn"], at + 1);
        let which = match number.as_str().unwrap() {
            "group_step" => (step_of_a_group(line, &vector), 0).1,
            "pressure_step" => (step_of_a_worker(line, &vector), 1).1,
            "allocate" => (allocation(line, &vector), 2).1,
            "grant" => (granting(line, &vector), 3).1,
            other => panic!("line {line}: there is no function {other}"),
        };
        seen[which] += 1;
    }
    assert_eq!(seen, [200, 100, 100, 100]);
}
