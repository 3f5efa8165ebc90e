// `swift run Demo`: loads the model, runs it once on zeros and says how long both took.
import CoreAI
import Foundation
import __NAME__

@main
struct Demo {
    static func main() async throws {
        let begin = Date()
        let network = try await __NAME__.load()
        let loaded = Date()
        let output = try await network.predict(.blank())
        let done = Date()
        print(
            "load", loaded.timeIntervalSince(begin), "s; first prediction",
            done.timeIntervalSince(loaded), "s")
        print(output)
    }
}
