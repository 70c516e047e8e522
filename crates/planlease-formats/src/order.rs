//! What tasks wait for without saying so: parents for what is nested below them, and what
//! their format says about the order.

use std::collections::{BTreeMap, HashSet};

use planlease_core::spec::MAX_DEPENDENCIES;

/// What waits for what without being said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Nothing but parents for what is nested below them.
    Free,
    /// What is nested below a task, each for the one before it, unless it is parallel; what is nested below
    /// no task likewise.
    WithinParent,
    /// Each task for the one before it in its phase, unless it is parallel; and phases for the one before.
    ByPhase,
}

/// A task, as far as the order is concerned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) parent: Option<usize>,
    /// The place of its phase.
    pub(crate) phase: Option<usize>,
    pub(crate) is_parallel: bool,
    pub(crate) is_optional: bool,
    /// Whether nothing is to be done about it any more, says its file.
    pub(crate) is_over: bool,
    /// Whether it waits for nothing but what it says.
    pub(crate) is_exact: bool,
    /// What it says that it waits for.
    pub(crate) stated: Vec<usize>,
    /// What it waits for besides.
    pub(crate) implied: Vec<usize>,
    /// What comes before that in the order: `implied` waits for it, and may be done before its turn. As much
    /// as there is room for.
    pub(crate) earlier: Vec<usize>,
}

/// What of the tasks that come earlier a task has to wait for itself, because all that its order has it wait
/// for was done before its turn: of each parent's tasks the nearest open one, which waits for those before
/// it.
pub(crate) fn passed_over(nodes: &[Node], place: usize) -> Vec<usize> {
    let node = &nodes[place];
    let beside = node.stated.iter().filter(|on| nodes[**on].parent == node.parent);
    if node.implied.iter().chain(beside).any(|on| !nodes[*on].is_over) {
        return Vec::new();
    }
    let mut parents = HashSet::new();
    let is_first = |up: usize| nodes[up].is_over || is_above(nodes, up, place);
    let open = node.earlier.iter().filter(|on| !nodes[**on].is_over);
    let first = open.filter(|on| nodes[**on].parent.is_none_or(is_first));
    first.filter(|on| parents.insert(nodes[**on].parent)).copied().collect()
}

/// Whether one task is a parent of the other, at any depth.
fn is_above(nodes: &[Node], parent: usize, place: usize) -> bool {
    std::iter::successors(nodes[place].parent, |up| nodes[*up].parent).any(|up| up == parent)
}

/// How many tasks that come earlier are kept in all. In a plan of up to 1,000 tasks each may keep as many as
/// it may wait for.
const MAX_EARLIER: usize = 100_000;

/// How many tasks that come earlier one of so many tasks keeps.
fn reach(tasks: usize) -> usize {
    (MAX_EARLIER / tasks.max(1)).min(MAX_DEPENDENCIES)
}

/// Adds what each task waits for without saying so. A parent stands above what is nested below it.
pub(crate) fn imply(nodes: &mut [Node], order: Order) {
    let children = children(nodes);
    if order == Order::ByPhase {
        for places in by_phase(nodes) {
            chain(nodes, &children, &places);
        }
    }
    if order == Order::WithinParent {
        let outermost: Vec<usize> = (0..nodes.len()).filter(|place| nodes[*place].parent.is_none()).collect();
        chain(nodes, &children, &outermost);
    }
    for (parent, below) in children.iter().enumerate() {
        if order != Order::Free {
            chain(nodes, &children, below);
        }
        inherit(nodes, parent, below);
    }
    for (parent, below) in children.iter().enumerate() {
        join(nodes, parent, below, order);
    }
    for node in nodes.iter_mut().filter(|node| node.is_exact) {
        node.implied.clear();
        node.earlier.clear();
    }
    let reach = reach(nodes.len());
    for (place, node) in nodes.iter_mut().enumerate() {
        let mut seen: HashSet<usize> = node.stated.iter().copied().chain([place]).collect();
        node.implied.sort_unstable();
        node.implied.retain(|on| seen.insert(*on));
        node.earlier.retain(|on| seen.insert(*on));
        let room = MAX_DEPENDENCIES.saturating_sub(node.stated.len() + node.implied.len());
        node.earlier.truncate(room.min(reach));
    }
}

/// The places of the tasks of each phase that are nested below no other.
fn by_phase(nodes: &[Node]) -> Vec<Vec<usize>> {
    let mut phases: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, node) in nodes.iter().enumerate().filter(|(_, node)| node.parent.is_none()) {
        if let Some(phase) = node.phase {
            phases.entry(phase).or_default().push(place);
        }
    }
    phases.into_values().collect()
}

/// The places of what is nested right below each task.
fn children(nodes: &[Node]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); nodes.len()];
    for (place, node) in nodes.iter().enumerate() {
        if let Some(parent) = node.parent {
            children[parent].push(place);
        }
    }
    children
}

/// A parent waits for all that is nested below it, whatever of that was done before its turn; where that is
/// more than a task may wait for, for what ends it.
fn join(nodes: &mut [Node], parent: usize, children: &[usize], order: Order) {
    let needed: Vec<usize> = children.iter().copied().filter(|child| !nodes[*child].is_optional).collect();
    let present = nodes[parent].stated.len() + nodes[parent].implied.len();
    if present + needed.len() <= MAX_DEPENDENCIES {
        nodes[parent].implied.extend(needed);
        return;
    }
    let waited: HashSet<usize> = needed
        .iter()
        .flat_map(|child| nodes[*child].stated.iter().chain(&nodes[*child].implied))
        .copied()
        .collect();
    // Where a stated dependency contradicts the order of the file, the order gives way: which one is the last
    // is open.
    let is_tangled = order != Order::Free
        && needed.iter().any(|child| {
            nodes[*child].stated.iter().any(|on| on > child && nodes[*on].parent == Some(parent))
        });
    nodes[parent].implied.extend(needed.iter().filter(|child| is_tangled || !waited.contains(child)));
}

/// Each of these waits for the one before it, and for what is nested below that. What is parallel waits for
/// none of them, and the next one that is not waits for all of it; for what is optional nothing waits.
///
/// What comes before that is kept as well, the nearest first, and what is nested behind what is not: the one
/// before may be done before its turn.
fn chain(nodes: &mut [Node], children: &[Vec<usize>], places: &[usize]) {
    let reach = reach(nodes.len());
    let mut before: Vec<usize> = Vec::new();
    let (mut outer, mut inner): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for &place in places {
        let node = &mut nodes[place];
        if !node.is_parallel {
            node.implied.extend(before.iter().rev().take(MAX_DEPENDENCIES));
            node.earlier.extend(outer.iter().rev().take(reach));
            node.earlier.extend(inner.iter().rev().take(reach));
        }
        if node.is_optional {
            continue;
        }
        if !node.is_parallel {
            let parent = node.parent;
            for on in before.drain(..) {
                let kept: &mut Vec<usize> = if nodes[on].parent == parent { &mut outer } else { &mut inner };
                kept.push(on);
            }
        }
        before.extend(below(nodes, children, place).into_iter().rev());
        before.push(place);
    }
}

/// What is nested below a task, as far as it is needed: as many as a task may wait for.
fn below(nodes: &[Node], children: &[Vec<usize>], place: usize) -> Vec<usize> {
    let (mut found, mut left) = (Vec::new(), vec![place]);
    while let Some(next) = left.pop().filter(|_| found.len() < MAX_DEPENDENCIES) {
        let needed = children[next].iter().rev().filter(|child| !nodes[**child].is_optional);
        left.extend(needed);
        found.extend((next != place).then_some(next));
    }
    found
}

/// What is nested below a task begins when that one may: the first of it waits for the same, and the others
/// keep that as what comes earlier.
fn inherit(nodes: &mut [Node], parent: usize, children: &[usize]) {
    let waits: Vec<usize> = nodes[parent].stated.iter().chain(&nodes[parent].implied).copied().collect();
    if waits.is_empty() || waits.len() > MAX_DEPENDENCIES {
        return; // More than one may wait for, which is an error of the parent.
    }
    let beside: HashSet<usize> = children.iter().copied().collect();
    let waits: Vec<usize> = waits.into_iter().filter(|on| !beside.contains(on)).collect();
    let reach = reach(nodes.len());
    let earlier: Vec<usize> = nodes[parent].earlier.iter().take(reach).copied().collect();
    for &child in children {
        let node = &mut nodes[child];
        let waits_for_one = node.stated.iter().any(|on| beside.contains(on));
        if node.implied.is_empty() && !waits_for_one {
            node.implied.extend(&waits);
        } else {
            node.earlier.extend(waits.iter().take(reach));
        }
        node.earlier.extend(earlier.iter().filter(|on| !beside.contains(on)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn implied(order: Order, nodes: &[Node]) -> Vec<Vec<usize>> {
        let mut nodes = nodes.to_vec();
        imply(&mut nodes, order);
        nodes.into_iter().map(|node| node.implied).collect()
    }

    fn below(parent: usize) -> Node {
        Node { parent: Some(parent), ..Node::default() }
    }

    #[test]
    fn a_parent_waits_for_what_is_nested_below_it() {
        let nodes = [Node::default(), below(0), below(0), below(2)];
        assert_eq!(implied(Order::Free, &nodes), [vec![1, 2], vec![], vec![3], vec![]]);
        assert_eq!(implied(Order::WithinParent, &nodes), [vec![1, 2], vec![], vec![1, 3], vec![1]]);
        let optional = Node { is_optional: true, ..below(0) };
        let nodes = [Node::default(), below(0), optional, below(0)];
        assert_eq!(implied(Order::WithinParent, &nodes), [vec![1, 3], vec![], vec![1], vec![1]]);
    }

    #[test]
    fn the_outermost_tasks_are_in_order_like_those_of_a_parent() {
        let parallel = Node { is_parallel: true, ..Node::default() };
        let nodes = [Node::default(), below(0), parallel, Node::default(), below(3), below(3)];
        let expected = [vec![1], vec![], vec![], vec![0, 1, 2, 4, 5], vec![0, 1, 2], vec![4]];
        assert_eq!(implied(Order::WithinParent, &nodes), expected);
        assert_eq!(implied(Order::Free, &nodes)[3], [4, 5]);
    }

    fn earlier(order: Order, nodes: &[Node]) -> Vec<Vec<usize>> {
        let mut nodes = nodes.to_vec();
        imply(&mut nodes, order);
        nodes.into_iter().map(|node| node.earlier).collect()
    }

    #[test]
    fn what_comes_earlier_is_kept_behind_the_one_before() {
        let nodes = [Node::default(), below(0), Node::default(), Node::default(), below(3), below(3)];
        let expected = [vec![], vec![], vec![], vec![0, 1], vec![0, 1], vec![2, 0, 1]];
        assert_eq!(earlier(Order::WithinParent, &nodes), expected);
        assert_eq!(earlier(Order::Free, &nodes), vec![Vec::<usize>::new(); 6]);
        let exact = Node { is_exact: true, ..Node::default() };
        let nodes = [Node::default(), Node::default(), exact];
        assert_eq!(earlier(Order::WithinParent, &nodes)[2], Vec::<usize>::new());
    }

    #[test]
    fn each_nested_task_waits_for_what_its_parent_waits_for() {
        let parent = Node { stated: vec![0], ..Node::default() };
        let second = Node { stated: vec![2], ..below(1) };
        let nodes = [Node::default(), parent, below(1), second];
        assert_eq!(implied(Order::Free, &nodes), [vec![], vec![2, 3], vec![0], vec![]]);
        assert_eq!(earlier(Order::Free, &nodes), [vec![], vec![], vec![], vec![0]]);
    }

    #[test]
    fn what_comes_earlier_is_bounded() {
        let mut nodes = vec![Node::default(); 300];
        nodes[299].stated = (0..90).collect();
        imply(&mut nodes, Order::WithinParent);
        let of = |place: usize| nodes[place].implied.len() + nodes[place].earlier.len();
        assert_eq!((of(50), of(298), of(299)), (50, MAX_DEPENDENCIES, MAX_DEPENDENCIES - 90));
        let mut nodes = vec![Node::default(); 20_000];
        imply(&mut nodes, Order::WithinParent);
        assert!(nodes.iter().map(|node| node.earlier.len()).sum::<usize>() <= MAX_EARLIER);
    }

    #[test]
    fn parallel_tasks_wait_for_nothing_in_their_phase() {
        let one = Node { phase: Some(0), ..Node::default() };
        let parallel = Node { is_parallel: true, ..one.clone() };
        let other = Node { phase: Some(1), ..Node::default() };
        let nodes = [one.clone(), parallel.clone(), parallel, one.clone(), one, other];
        let expected = [vec![], vec![], vec![], vec![0, 1, 2], vec![3], vec![]];
        assert_eq!(implied(Order::ByPhase, &nodes), expected);
    }

    #[test]
    fn nested_tasks_wait_for_what_their_parent_waits_for() {
        let parent = Node { stated: vec![0], ..Node::default() };
        let nodes = [Node::default(), parent, below(1), below(1)];
        assert_eq!(implied(Order::Free, &nodes), [vec![], vec![2, 3], vec![0], vec![0]]);
        assert_eq!(implied(Order::WithinParent, &nodes), [vec![], vec![2, 3], vec![0], vec![2]]);
    }
}
