//! A map from numbers to what has them, for few that are looked at often.
//!
//! Numbers lie together, so that one is found in a few steps through one or two cache lines, and values lie in a row, so that all are gone
//! through without following pointers. Coming and going costs a move of everything behind, which is rare here.
//!
//! Invariant: numbers grow strictly, and a value has the place of its number.

/// See the file's header.
#[derive(Debug)]
pub(crate) struct Numbered<K, V> {
    numbers: Vec<K>,
    values: Vec<V>,
}

impl<K, V> Default for Numbered<K, V> {
    fn default() -> Self {
        Self { numbers: Vec::new(), values: Vec::new() }
    }
}

impl<K: Ord + Copy, V> Numbered<K, V> {
    /// Puts a value in; what had its number before.
    pub(crate) fn insert(&mut self, number: K, value: V) -> Option<V> {
        match self.numbers.binary_search(&number) {
            Ok(at) => Some(std::mem::replace(&mut self.values[at], value)),
            Err(at) => {
                self.numbers.insert(at, number);
                self.values.insert(at, value);
                None
            }
        }
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, number: &K) -> Option<V> {
        let at = self.numbers.binary_search(number).ok()?;
        self.numbers.remove(at);
        Some(self.values.remove(at))
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Whether there is one of that number.
    pub(crate) fn contains_key(&self, number: &K) -> bool {
        self.numbers.binary_search(number).is_ok()
    }

    /// The one of that number.
    pub(crate) fn get(&self, number: &K) -> Option<&V> {
        self.numbers.binary_search(number).ok().map(|at| &self.values[at])
    }

    /// The one of that number, to be changed.
    pub(crate) fn get_mut(&mut self, number: &K) -> Option<&mut V> {
        self.numbers.binary_search(number).ok().map(|at| &mut self.values[at])
    }

    /// The one in a place, counted in the order of their numbers. Of use while none comes or goes.
    pub(crate) fn at(&self, place: usize) -> Option<(K, &V)> {
        Some((*self.numbers.get(place)?, self.values.get(place)?))
    }

    /// Looks at some in the order of their numbers.
    pub(crate) const fn walk(&self) -> Walk<'_, K, V> {
        Walk { map: self, place: 0 }
    }

    /// All, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> + Clone {
        self.numbers.iter().zip(&self.values)
    }

    /// All, in the order of their numbers, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.numbers.iter().zip(&mut self.values)
    }

    /// All values, in the order of their numbers.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.values.iter()
    }
}

/// Goes from one to another in the order of numbers: who looks at many of few has hardly a step to go, and of many it skips most.
#[derive(Debug)]
pub(crate) struct Walk<'a, K, V> {
    map: &'a Numbered<K, V>,
    place: usize,
}

impl<'a, K: Ord + Copy, V> Walk<'a, K, V> {
    /// The one of that number, which is greater than all that were asked for before.
    pub(crate) fn on_to(&mut self, number: &K) -> Option<&'a V> {
        let left = self.map.numbers.get(self.place..)?;
        let mut reach = 1;
        while left.get(reach - 1).is_some_and(|other| other < number) {
            reach *= 2;
        }
        let (passed, reach) = (reach / 2, reach.min(left.len()));
        self.place += passed + left[passed..reach].partition_point(|other| other < number);
        let is_there = self.map.numbers.get(self.place) == Some(number);
        self.map.values.get(self.place).filter(|_| is_there)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_behaves_like_a_tree(
            steps in prop::collection::vec((any::<bool>(), 0u32..20, any::<u8>()), 0..80),
            stride in 1u32..9,
        ) {
            let (mut numbered, mut model) = (Numbered::default(), BTreeMap::new());
            for (put, number, value) in steps {
                if put {
                    prop_assert_eq!(numbered.insert(number, value), model.insert(number, value));
                } else {
                    prop_assert_eq!(numbered.remove(&number), model.remove(&number));
                }
                if let Some(value) = numbered.get_mut(&number) {
                    *value = value.wrapping_add(1);
                    model.entry(number).and_modify(|value| *value = value.wrapping_add(1));
                }
                prop_assert_eq!(numbered.get(&number), model.get(&number));
                prop_assert_eq!(numbered.contains_key(&number), model.contains_key(&number));
                prop_assert_eq!((numbered.len(), numbered.is_empty()), (model.len(), model.is_empty()));
            }
            numbered.iter_mut().for_each(|(_, value)| *value /= 2);
            model.values_mut().for_each(|value| *value /= 2);
            prop_assert!(numbered.iter().eq(model.iter()) && numbered.values().eq(model.values()));
            let mut walk = numbered.walk();
            let asked = (0..20u32).filter(|number| number % stride == 0);
            let met = asked.clone().map(|number| walk.on_to(&number));
            prop_assert!(met.eq(asked.map(|number| model.get(&number))));
            let places = (0..=model.len()).map_while(|place| numbered.at(place));
            prop_assert!(places.eq(model.iter().map(|(number, value)| (*number, value))));
        }
    }
}
