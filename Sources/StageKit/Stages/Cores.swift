import Foundation

/// How many of the machine's cores are this process's, and how many ranks share its memory.
enum Cores {
  /// Those that the scheduler gave it, or its part of those that it may run on, beside the other ranks
  /// that a launcher started on this machine.
  static var own: Int {
    own(
      ProcessInfo.processInfo.environment,
      usable: ProcessInfo.processInfo.activeProcessorCount,
      online: ProcessInfo.processInfo.processorCount)
  }

  /// - Parameters:
  ///   - usable: cores that the process is not kept from
  ///   - online: cores of the machine
  static func own(_ environment: [String: String], usable: Int, online: Int) -> Int {
    if let given = environment["SLURM_CPUS_PER_TASK"].flatMap({ Int($0) }), given > 0 {
      return min(given, usable)
    }
    return max(1, min(usable, online / ranksHere(environment)))
  }

  /// Ranks that a launcher started on this machine, this one included; 1 without a launcher.
  static func ranksHere(_ environment: [String: String] = ProcessInfo.processInfo.environment)
    -> Int
  {
    // Open MPI's, MPICH's; Slurm's is a list of nodes, "2(x3),1".
    let found = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"]
      .compactMap { environment[$0].flatMap { Int($0.prefix { $0.isNumber }) } }.first
    return max(1, found ?? 1)
  }
}
