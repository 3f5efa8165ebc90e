// `swift run -c release Generate "Why is the sky blue?"`: streams an answer and says how fast it came.
import Foundation
import __NAME__

@main
struct Generate {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard let message = arguments.first else {
            print("usage: Generate MESSAGE [FOLDER], the folder of __PACKAGE__.mlpackage (default: ..)")
            return
        }
        let folder = URL(fileURLWithPath: arguments.dropFirst().first ?? "..")
        let generator = try await TextGenerator.load(folder: folder)
        let begin = Date()
        var pieces = 0
        for try await piece in generator.stream(message) {
            print(piece, terminator: "")
            fflush(stdout)
            pieces += 1
        }
        let spent = Date().timeIntervalSince(begin)
        print("\n\(pieces) pieces in \(String(format: "%.1f", spent)) s")
    }
}
