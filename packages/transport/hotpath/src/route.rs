//! What is to be had from another worker: for a raw request target the owner's address and the request to make of it, as TypeScript gave them, while
//! they hold. Bounded; as all hold for about the same time, the oldest go first.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What a route takes beside its texts.
const ROUTE_COST_BYTES: usize = 300;

pub struct Route {
    pub listener: u32,
    pub is_head: bool,
    pub target: Arc<[u8]>,
    pub peer: SocketAddr,
    /// The request's line and header lines, but for those that change from request to request, and the empty one.
    pub request: Box<[u8]>,
    /// The name of the answer's line with the request's id.
    pub request_id_header: Box<[u8]>,
    pub fresh_until: Instant,
}

impl Route {
    fn cost(&self) -> usize {
        ROUTE_COST_BYTES + self.target.len() + self.request.len() + self.request_id_header.len()
    }
}

type ByTarget = HashMap<Arc<[u8]>, Arc<Route>>;

pub struct Routes {
    bytes_max: usize,
    bytes: usize,
    /// For each listener those of GET and of HEAD.
    by_target: Vec<[ByTarget; 2]>,
    /// All that still count, those among them that were replaced or dropped.
    order: VecDeque<Arc<Route>>,
}

impl Routes {
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            by_target: Vec::new(),
            order: VecDeque::new(),
        }
    }

    pub fn find(
        &self,
        listener: u32,
        is_head: bool,
        target: &[u8],
        now: Instant,
    ) -> Option<Arc<Route>> {
        let targets = &self.by_target.get(listener as usize)?[usize::from(is_head)];
        let route = targets.get(target)?;
        (route.fresh_until > now).then(|| Arc::clone(route))
    }

    pub fn put(&mut self, route: Route, now: Instant) {
        let cost = route.cost();
        if cost > self.bytes_max {
            return;
        }
        while let Some(oldest) = self.order.front() {
            if oldest.fresh_until > now && self.bytes + cost <= self.bytes_max {
                break;
            }
            let oldest = Arc::clone(oldest);
            self.order.pop_front();
            self.bytes -= oldest.cost();
            self.drop_one(&oldest);
        }
        let listener = route.listener as usize;
        if self.by_target.len() <= listener {
            self.by_target.resize_with(listener + 1, Default::default);
        }
        let route = Arc::new(route);
        self.bytes += cost;
        self.order.push_back(Arc::clone(&route));
        self.by_target[listener][usize::from(route.is_head)]
            .insert(Arc::clone(&route.target), route);
    }

    /// Forgets this route, unless another has taken its place.
    pub fn drop_one(&mut self, route: &Arc<Route>) {
        // After `drop_all` there is no place for its listener.
        let Some(of_listener) = self.by_target.get_mut(route.listener as usize) else {
            return;
        };
        let targets = &mut of_listener[usize::from(route.is_head)];
        if targets
            .get(&route.target)
            .is_some_and(|known| Arc::ptr_eq(known, route))
        {
            targets.remove(&route.target);
        }
    }

    pub fn drop_all(&mut self) {
        *self = Self::new(self.bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn route(target: &str, now: Instant, seconds: u64) -> Route {
        Route {
            listener: 0,
            is_head: false,
            target: target.as_bytes().into(),
            peer: "127.0.0.1:1".parse().unwrap(),
            request: Box::default(),
            request_id_header: Box::default(),
            fresh_until: now + Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_route_is_of_one_listener_method_and_target_and_of_its_time() {
        let now = Instant::now();
        let mut routes = Routes::new(1 << 20);
        routes.put(route("/a", now, 60), now);
        let found = |listener, is_head, target: &str, seconds| {
            let at = now + Duration::from_secs(seconds);
            routes
                .find(listener, is_head, target.as_bytes(), at)
                .is_some()
        };
        assert!(found(0, false, "/a", 59));
        assert!(!found(0, false, "/a", 60));
        assert!(!found(0, true, "/a", 0));
        assert!(!found(1, false, "/a", 0));
        assert!(!found(0, false, "/b", 0));
    }

    #[test]
    fn one_that_was_replaced_takes_nothing_with_it() {
        let now = Instant::now();
        let mut routes = Routes::new(1 << 20);
        routes.put(route("/a", now, 60), now);
        let first = routes.find(0, false, b"/a", now).unwrap();
        routes.put(route("/a", now, 60), now);
        routes.drop_one(&first);
        let second = routes.find(0, false, b"/a", now).unwrap();
        routes.drop_one(&second);
        assert!(routes.find(0, false, b"/a", now).is_none());
    }

    #[test]
    fn the_bound_holds_and_the_oldest_go() {
        let now = Instant::now();
        let mut routes = Routes::new(10 * ROUTE_COST_BYTES);
        for index in 0..100 {
            routes.put(route(&format!("/{index}"), now, 60), now);
            assert!(routes.bytes <= routes.bytes_max);
        }
        assert!(routes.find(0, false, b"/99", now).is_some());
        assert!(routes.find(0, false, b"/0", now).is_none());
        let used = routes.find(0, false, b"/99", now).unwrap();
        routes.drop_all();
        assert!(routes.find(0, false, b"/99", now).is_none());
        routes.drop_one(&used);
    }
}
