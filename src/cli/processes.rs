//! Several processes that run one program: those that `mpirun` started.

use super::{Told, tell};
use crate::plan::Processes;
use std::sync::Arc;

/// How many processes `mpirun` says there are: the variables of Open MPI, and of MPICH and its kin.
fn started() -> usize {
    ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"]
        .iter()
        .filter_map(|name| std::env::var(name).ok()?.parse().ok())
        .max()
        .unwrap_or(1)
}

/// The processes that run this program together, if there are several.
pub fn join(told: &Told) -> Option<Arc<dyn Processes>> {
    if started() < 2 {
        return None;
    }
    let processes = world();
    if processes.is_none() && !told.quiet {
        tell(
            "note: this `einc` is built without the feature `mpi`: each of the processes runs the whole program\n",
        );
    }
    processes
}

#[cfg(not(feature = "mpi"))]
fn world() -> Option<Arc<dyn Processes>> {
    None
}

#[cfg(feature = "mpi")]
fn world() -> Option<Arc<dyn Processes>> {
    use mpi::traits::Communicator;
    // Only the thread that runs the program calls MPI.
    let (universe, _) = mpi::initialize_with_threading(mpi::Threading::Funneled)?;
    let world = universe.world();
    let (rank, count) = (usize::try_from(world.rank()).ok()?, usize::try_from(world.size()).ok()?);
    if let Ok(mut place) = UNIVERSE.lock() {
        *place = Some(universe);
    }
    (count > 1).then(|| Arc::new(World { rank, count }) as Arc<dyn Processes>)
}

/// MPI while it is in use. A process that fails ends without ending MPI, which is how `mpirun` learns that it has to end
/// the others: they would wait for it.
#[cfg(feature = "mpi")]
static UNIVERSE: std::sync::Mutex<Option<mpi::environment::Universe>> = std::sync::Mutex::new(None);

/// Ends what [`join`] began: the processes have nothing more to tell each other.
pub fn leave() {
    #[cfg(feature = "mpi")]
    if let Ok(mut place) = UNIVERSE.lock() {
        drop(place.take());
    }
}

/// The processes of an MPI program.
#[cfg(feature = "mpi")]
struct World {
    rank: usize,
    count: usize,
}

#[cfg(feature = "mpi")]
impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} of {}", self.rank, self.count)
    }
}

#[cfg(feature = "mpi")]
impl Processes for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn join(&self, bytes: &mut [u8]) {
        use mpi::collective::{CommunicatorCollectives, SystemOperation};
        // MPI counts in 32 bits.
        const MOST: usize = 1 << 28;
        let world = mpi::topology::SimpleCommunicator::world();
        let mut own = vec![0; bytes.len().min(MOST)];
        for part in bytes.chunks_mut(MOST) {
            let own = &mut own[..part.len()];
            own.copy_from_slice(part);
            world.all_reduce_into(&*own, part, SystemOperation::bitwise_or());
        }
    }
}
