//! Real clusters, hurt in every way that `docs/OPERATIONS.md` promises to survive, under the load
//! of real clients, and judged afterwards. `make faults` runs the long form.

mod added;
mod alone;
mod joins;
mod judged;
mod ledger;
mod load;
mod nodes;
mod people;
mod points;
mod postgres;
mod redis;
mod standstill;
mod tools;
mod trial;
mod wires;
