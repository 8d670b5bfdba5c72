import Failures

/// The two families of MPI libraries. What is a macro in `mpi.h` differs between them, and nothing
/// changes within one: Open MPI 3 to 5 is libmpi.so.40; MPICH, Intel MPI, MVAPICH and Cray share
/// one binary interface.
enum Family: Equatable, Sendable {
  case openMPI, mpich

  var name: String { self == .openMPI ? "Open MPI" : "MPICH" }
  /// What `dlopen` is asked for, in this order.
  var files: [String] {
    self == .openMPI ? ["libmpi.so.40"] : ["libmpich.so.12", "libmpi.so.12"]
  }
}

/// What a launcher of MPI programs left in the environment of each process that it started.
struct Launcher: Equatable {
  var family: Family
  /// Processes that it started; nil where the environment does not tell.
  var count: Int?

  /// - Parameter variable: the environment.
  /// - Returns: nil for a process that is alone: nothing launched it, or one process was launched.
  /// - Throws: 64 for one of several tasks of an srun that connects them to no MPI.
  static func find(_ variable: (String) -> String?) throws -> Launcher? {
    let tasks = stepTasks(variable)
    let found: Launcher
    // The innermost first: Open MPI's mpirun and hydra start inside a step of srun.
    if let count = variable("OMPI_COMM_WORLD_SIZE") {
      found = Launcher(family: .openMPI, count: Int(count))
    } else if variable("PMI_RANK") != nil {
      found = Launcher(family: .mpich, count: variable("PMI_SIZE").flatMap { Int($0) })
    } else if variable("PMIX_RANK") != nil {
      found = Launcher(family: .openMPI, count: tasks)
    } else if let tasks, tasks > 1 {
      // Each would take itself for the only one, and all would write the same artifact.
      throw Failure(
        .usage, "this is one of \(tasks) tasks of an srun that tells them nothing of each other",
        advice: "Give srun --mpi=pmix (Open MPI) or --mpi=pmi2 (MPICH); srun --mpi=list says "
          + "which it has. For a process alone: srun -n 1")
    } else {
      return nil
    }
    return found.count == 1 ? nil : found
  }

  /// Tasks of the step of srun that this process belongs to; nil outside of one, a batch script's
  /// own process included, to which `SLURM_NTASKS` tells what the job may start.
  private static func stepTasks(_ variable: (String) -> String?) -> Int? {
    if let tasks = variable("SLURM_STEP_NUM_TASKS") { return Int(tasks) }
    guard variable("SLURM_STEP_ID") != nil, variable("SLURM_STEP_LAUNCHER_PORT") != nil else {
      return nil
    }
    return variable("SLURM_NTASKS").flatMap { Int($0) }
  }

  /// - Parameter size: the processes that MPI sees.
  /// - Throws: 64 where it sees others than were launched.
  func check(size: Int, library: String) throws {
    guard let count, count != size else { return }
    throw Failure(
      .usage, "the launcher started \(count) processes, and \(library) sees \(size)",
      advice: "Launcher and library are of two families: take mpirun or srun --mpi=pmix for "
        + "Open MPI, mpiexec or srun --mpi=pmi2 for MPICH, or name the launcher's own library, as "
        + "VLSI_MPI=/path/to/libmpi.so")
  }
}
