//! The table of restart requests.
use elasticflow_plan::restart::{Covered, Request, covered};

fn request(only_failed: bool, include_tasks: bool) -> Request {
    Request { include_tasks, only_failed }
}

#[test]
fn each_form_of_a_request_covers_what_connect_restarts() {
    let tasks = [(0, false), (1, true)];
    let table = [
        (request(false, false), false, true, vec![]),
        (request(false, true), false, true, vec![0, 1]),
        (request(true, false), false, false, vec![]),
        (request(true, false), true, true, vec![]),
        (request(true, true), false, false, vec![1]),
        (request(true, true), true, true, vec![1]),
    ];
    for (request, connector_failed, connector, expected) in table {
        let covered = covered(request, connector_failed, &tasks);
        assert_eq!(
            covered,
            Covered { connector, tasks: expected },
            "{request:?}, connector failed: {connector_failed}"
        );
    }
}

#[test]
fn of_two_requests_the_wider_one_wins() {
    let narrow_to_wide = [request(true, false), request(true, true), request(false, false), request(false, true)];
    for (i, a) in narrow_to_wide.iter().enumerate() {
        for (j, b) in narrow_to_wide.iter().enumerate() {
            assert_eq!(a.wider(*b), narrow_to_wide[i.max(j)], "{a:?} {b:?}");
        }
    }
}
