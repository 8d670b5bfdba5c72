import Models

/// Prompts with one beginning, which is run once for all of them: questions about one picture.
public struct SharedPrompt: Sendable {
  /// All images, and the tokens that the prompts have in common; nil where they share nothing.
  public var beginning: ModelSample?
  /// What each prompt goes on with, at least one token.
  public var endings: [[Int32]]
  /// The longest answer to each, where it is to be shorter than others may be.
  public var lengths: [Int]?

  /// A prompt by itself. What it shares with nobody is run in one pass, unless images are seen.
  public init(_ prompt: ModelSample) {
    let isSeen = !prompt.images.isEmpty
    beginning = isSeen ? prompt.first(prompt.inputIDs.count - 1) : nil
    endings = [isSeen ? Array(prompt.inputIDs.suffix(1)) : prompt.inputIDs]
  }

  private init(beginning: ModelSample, endings: [[Int32]]) {
    self.beginning = beginning
    self.endings = endings
  }

  /// Tokens of all of them, the beginning counted once.
  public var tokens: Int {
    endings.reduce(beginning?.inputIDs.count ?? 0) { $0 + $1.count }
  }

  /// Neighbours that have their images in common, and all that stands before the last of them, are
  /// put together; without images, those that have at least half of the shorter one in common.
  /// - Parameter imageToken: that marks a visual token's place
  public static func grouping(_ prompts: [ModelSample], imageToken: Int32) -> [SharedPrompt] {
    var groups: [(members: Range<Int>, common: Int)] = []
    for (number, prompt) in prompts.enumerated() {
      if let group = groups.last {
        let first = prompts[group.members.lowerBound]
        // Of each at least one token is left.
        let most = min(group.common, prompt.inputIDs.count - 1)
        let common = zip(first.inputIDs, prompt.inputIDs).prefix(most).prefix { $0 == $1 }.count
        let needed =
          first.images.isEmpty
          ? (min(first.inputIDs.count, prompt.inputIDs.count) + 1) / 2
          : 1 + (first.inputIDs.lastIndex(of: imageToken) ?? 0)
        if common >= needed, first.images.areEqual(prompt.images) {
          groups[groups.count - 1] = (group.members.lowerBound..<number + 1, common)
          continue
        }
      }
      groups.append((number..<number + 1, prompt.inputIDs.count - 1))
    }
    return groups.map { members, common in
      let first = prompts[members.lowerBound]
      guard members.count > 1 else { return SharedPrompt(first) }
      return SharedPrompt(
        beginning: first.first(common),
        endings: members.map { Array(prompts[$0].inputIDs[common...]) })
    }
  }
}

extension ModelSample {
  /// Its first tokens, with all of its images.
  fileprivate func first(_ count: Int) -> ModelSample {
    ModelSample(inputIDs: Array(inputIDs[..<count]), images: images)
  }
}

extension [ModelImage] {
  fileprivate func areEqual(_ others: [ModelImage]) -> Bool {
    count == others.count
      && zip(self, others).allSatisfy { $0.grid == $1.grid && $0.patches == $1.patches }
  }
}
