import Artifacts

/// The files that say what is asked about the images.
enum DataSetText {
  /// LLaVA's JSON: one entry an image, one line an entry, a turn for each question.
  static func conversations(_ items: [Item]) -> String {
    list(
      items.map { item in
        let turns = zip(item.questions, item.given).enumerated().flatMap { index, pair in
          [
            turn("human", (index == 0 ? "<image>\n" : "") + pair.0.text), turn("gpt", pair.1),
          ]
        }
        return entry(item, id: item.id, turns)
      })
  }

  /// Entries whose one turn asks for a word a cell, and `visual_labels` with these words. The
  /// question stands before the image, so that the visual tokens can see it. The words have the
  /// leading space with which answers use them, so they are the same tokens.
  static func denseLabels(_ items: [Item], queries: (Int) -> [DenseQuery]) -> String {
    list(
      items.enumerated().flatMap { index, item in
        queries(index).map { query in
          let labels = item.scene.cells.enumerated().map { cell, content in
            JSON.quoted(" " + query.label(content, cell: cell))
          }
          return entry(
            item, id: "\(item.id)-\(query.rawValue)",
            [turn("human", query.text + "\n<image>")],
            more: ", \"visual_labels\": [\(labels.joined(separator: ", "))]")
        }
      })
  }

  /// The benchmark in VLMEvalKit's columns.
  static func table(_ items: [Item]) -> String {
    let rows = items.flatMap { item in item.questions.map { (item, $0) } }
    let lines = rows.enumerated().map { index, row in
      let (item, question) = row
      let gold = question.gold
      return [
        String(index), item.image, question.text, gold.options.first ?? "",
        gold.options.last ?? "", gold.answer, question.task.rawValue, gold.rule,
      ].joined(separator: "\t") + "\n"
    }
    return "index\timage_path\tquestion\tA\tB\tanswer\tcategory\trule\n" + lines.joined()
  }

  private static func entry(
    _ item: Item, id: String, _ turns: [String], more: String = ""
  ) -> String {
    "{\"id\": \(JSON.quoted(id)), \"image\": \(JSON.quoted(item.image)), "
      + "\"conversations\": [\(turns.joined(separator: ", "))]\(more)}"
  }

  private static func turn(_ speaker: String, _ text: String) -> String {
    "{\"from\": \(JSON.quoted(speaker)), \"value\": \(JSON.quoted(text))}"
  }

  private static func list(_ entries: [String]) -> String {
    "[\n" + entries.joined(separator: ",\n") + "\n]\n"
  }
}
