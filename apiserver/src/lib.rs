//! `kube-apiserver`: the only component that touches the store.

pub mod seams;
