//! Sets of fields: a trie of path elements, its algebra, and its form in managedFields (fieldsV1).
//!
//! Mirrors `fieldpath.Set` of structured-merge-diff. A node is a member, or has members below it, or both; nothing else is
//! kept, so that equal sets are equal tries.

use std::cmp::Ordering;

use super::element::Element;
use super::shape::{Shape, Types};
use crate::schema::Type;
use crate::{Object, Value};

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// In the order of their elements.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    element: Element,
    member: bool,
    children: Set,
}

impl Node {
    fn kept(self) -> Option<Self> {
        (self.member || !self.children.is_empty()).then_some(self)
    }
}

impl Set {
    pub fn new() -> Self {
        Self::default()
    }

    /// A set of fields by their dotted names; for constants of our own.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::new();
        for path in paths {
            let elements: Vec<Element> = path.iter().map(|name| Element::field(name)).collect();
            set.insert(&elements);
        }
        set
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.nodes.iter().map(|node| usize::from(node.member) + node.children.len()).sum()
    }

    fn find(&self, element: &Element) -> Result<usize, usize> {
        self.nodes.binary_search_by(|node| node.element.cmp(element))
    }

    /// Adds a path; the empty one, which is the whole object, is never a member.
    pub fn insert(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else { return };
        let at = self.find(first).unwrap_or_else(|at| {
            self.nodes.insert(at, Node { element: first.clone(), member: false, children: Set::new() });
            at
        });
        match rest {
            [] => self.nodes[at].member = true,
            rest => self.nodes[at].children.insert(rest),
        }
    }

    /// Appends what a walk found of one element; `sort` is due before anything else.
    pub(super) fn push(&mut self, element: Element, member: bool, children: Set) {
        if member || !children.is_empty() {
            self.nodes.push(Node { element, member, children });
        }
    }

    pub(super) fn sort(&mut self) {
        if !self.nodes.is_sorted_by(|a, b| a.element < b.element) {
            self.nodes.sort_by(|a, b| a.element.cmp(&b.element));
        }
    }

    pub fn has(&self, path: &[Element]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        let Ok(at) = self.find(first) else { return false };
        if rest.is_empty() { self.nodes[at].member } else { self.nodes[at].children.has(rest) }
    }

    pub(super) fn has_element(&self, element: &Element) -> bool {
        self.find(element).is_ok_and(|at| self.nodes[at].member)
    }

    /// What is below an element; `None` when nothing is.
    pub(super) fn below(&self, element: &Element) -> Option<&Set> {
        let at = self.find(element).ok()?;
        Some(&self.nodes[at].children).filter(|children| !children.is_empty())
    }

    /// Walks both in order and makes a node of each pair.
    fn zip(&self, other: &Set, mut make: impl FnMut(Option<&Node>, Option<&Node>) -> Option<Node>) -> Set {
        let (mut left, mut right) = (self.nodes.iter().peekable(), other.nodes.iter().peekable());
        let mut nodes = Vec::with_capacity(self.nodes.len());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return Set { nodes },
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.element.cmp(&b.element),
            };
            let a = if order == Ordering::Greater { None } else { left.next() };
            let b = if order == Ordering::Less { None } else { right.next() };
            nodes.extend(make(a, b));
        }
    }

    pub fn union(&self, other: &Set) -> Set {
        self.zip(other, |a, b| match (a, b) {
            (Some(a), Some(b)) => Some(Node {
                element: a.element.clone(),
                member: a.member || b.member,
                children: a.children.union(&b.children),
            }),
            (one, other) => one.or(other).cloned(),
        })
    }

    pub fn intersection(&self, other: &Set) -> Set {
        self.zip(other, |a, b| {
            let (a, b) = (a?, b?);
            Node {
                element: a.element.clone(),
                member: a.member && b.member,
                children: a.children.intersection(&b.children),
            }
            .kept()
        })
    }

    /// What is in this set and not in the other. A member of the other takes nothing away that is below it.
    pub fn difference(&self, other: &Set) -> Set {
        self.zip(other, |a, b| {
            let a = a?;
            let Some(b) = b else { return Some(a.clone()) };
            Node {
                element: a.element.clone(),
                member: a.member && !b.member,
                children: a.children.difference(&b.children),
            }
            .kept()
        })
    }

    /// As `difference`, but a member of the other also takes away everything below it.
    pub fn recursive_difference(&self, other: &Set) -> Set {
        self.zip(other, |a, b| {
            let a = a?;
            match b {
                None => Some(a.clone()),
                Some(b) if b.member => None,
                Some(b) => Node {
                    element: a.element.clone(),
                    member: a.member,
                    children: a.children.recursive_difference(&b.children),
                }
                .kept(),
            }
        })
    }

    /// `difference` with a small set, in place: what stays is not copied.
    pub(super) fn subtract(&mut self, few: &Set) {
        for gone in &few.nodes {
            let Ok(at) = self.find(&gone.element) else { continue };
            let node = &mut self.nodes[at];
            node.member &= !gone.member;
            node.children.subtract(&gone.children);
            if !node.member && node.children.is_empty() {
                self.nodes.remove(at);
            }
        }
    }

    /// `recursive_difference` with a small set, in place.
    pub(super) fn subtract_recursively(&mut self, few: &Set) {
        for gone in &few.nodes {
            let Ok(at) = self.find(&gone.element) else { continue };
            let node = &mut self.nodes[at];
            node.children.subtract_recursively(&gone.children);
            if gone.member || (!node.member && node.children.is_empty()) {
                self.nodes.remove(at);
            }
        }
    }

    /// The members that have no members below them.
    pub fn leaves(&self) -> Set {
        let nodes = self.nodes.iter().map(|node| Node {
            element: node.element.clone(),
            member: node.member && node.children.is_empty(),
            children: node.children.leaves(),
        });
        Set { nodes: nodes.filter_map(Node::kept).collect() }
    }

    /// Makes members of the struct fields that have members below them: sets name only what is inside such fields.
    pub(super) fn with_named_fields(&self, types: Types, ty: Option<&Type>) -> Set {
        let shape = ty.map(|ty| types.shape(ty));
        let nodes = self.nodes.iter().map(|node| {
            let (named, below) = match (&node.element, &shape) {
                (Element::Field(name), Some(Shape::Struct(body))) => match body.field(name) {
                    Some(field) => (true, Some(field.ty.get())),
                    None => (false, None),
                },
                (Element::Field(_), Some(Shape::Map(value))) => (false, Some(*value)),
                (Element::Key(_), Some(Shape::List(list))) => (false, Some(list.element.get())),
                _ => (false, None),
            };
            Node {
                element: node.element.clone(),
                member: node.member || (named && !node.children.is_empty()),
                children: if node.children.is_empty() {
                    Set::new()
                } else {
                    node.children.with_named_fields(types, below.map(|ty| &**ty))
                },
            }
        });
        Set { nodes: nodes.collect() }
    }

    /// Calls `visit` with each member's path: on every level first the members, then what is below.
    pub fn for_each(&self, visit: &mut impl FnMut(&[&Element])) {
        fn walk<'a>(set: &'a Set, path: &mut Vec<&'a Element>, visit: &mut impl FnMut(&[&Element])) {
            for node in set.nodes.iter().filter(|node| node.member) {
                path.push(&node.element);
                visit(path);
                path.pop();
            }
            for node in &set.nodes {
                path.push(&node.element);
                walk(&node.children, path, visit);
                path.pop();
            }
        }
        walk(self, &mut Vec::new(), visit);
    }

    /// The texts of the members' paths, in the order of `for_each`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.for_each(&mut |path| paths.push(path.iter().map(ToString::to_string).collect()));
        paths
    }

    /// As fieldsV1.
    pub fn to_value(&self) -> Value {
        self.object(false).into()
    }

    fn object(&self, member: bool) -> Object {
        let own = usize::from(member && !self.is_empty());
        let mut object = Object::with_capacity(self.nodes.len() + own);
        if own > 0 {
            object.push(".".into(), Value::object());
        }
        for node in &self.nodes {
            object.push(node.element.to_text(), node.children.object(node.member).into());
        }
        object
    }

    /// Reads fieldsV1; `None` for what it cannot be.
    pub fn from_value(value: &Value) -> Option<Set> {
        Self::read(value).map(|(set, _)| set)
    }

    /// The set, and whether what it is below is a member itself.
    fn read(value: &Value) -> Option<(Set, bool)> {
        let object = value.as_object()?;
        let (mut set, mut member) = (Set::new(), false);
        for (key, below) in object.iter() {
            if key == "." {
                member = true;
                continue;
            }
            let (children, own) = Self::read(below)?;
            let leaf = children.is_empty();
            set.push(Element::parse(key)?, own || leaf, children);
        }
        set.sort();
        Some((set, member))
    }
}
