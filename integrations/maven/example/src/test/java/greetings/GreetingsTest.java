package greetings;

import static org.junit.Assert.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.Test;

public class GreetingsTest {
    /** The recordings root: the folder that a test proxy starts in. */
    private static Path recordingsRoot() throws IOException {
        try (InputStream file = GreetingsTest.class.getResourceAsStream("/recordings-root")) {
            return Path.of(new String(file.readAllBytes(), StandardCharsets.UTF_8).trim());
        }
    }

    @Test
    public void greets() throws IOException {
        for (String name : new String[] {"hello", "goodbye", "thanks", "sorry"}) {
            // Recordings lie below the root as the package does below the code repo.
            Path file = recordingsRoot().resolve("sdk/greetings/tests/recordings/" + name + ".json");
            assertTrue(Files.readString(file).contains("GET /" + name));
        }
    }
}
