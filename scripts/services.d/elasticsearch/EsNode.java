import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.index.mapper.DataStreamTimestampFieldMapper;
import org.elasticsearch.index.mapper.MetadataFieldMapper;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.MapperPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.reindex.ReindexPlugin;
import org.elasticsearch.transport.Netty4Plugin;

/**
 * One loopback node for tests. Usage: {@code EsNode HOME KEY=VALUE...}; any node setting may be given.
 *
 * <p>Goes round Elasticsearch's own bootstrap: no security manager, no bootstrap checks. Disk watermarks are off, so that a
 * full test disk does not turn indices read-only.
 */
public final class EsNode extends Node {
    private static final String NAME = "node-1";

    /** Data streams are part of the server, and the mapper that they need is switched on by a plugin of the default distribution. */
    public static final class DataStreams extends Plugin implements MapperPlugin {
        @Override
        public Map<String, MetadataFieldMapper.TypeParser> getMetadataMappers() {
            return Map.of(DataStreamTimestampFieldMapper.NAME, DataStreamTimestampFieldMapper.PARSER);
        }
    }

    private EsNode(Environment environment) {
        super(environment, List.of(Netty4Plugin.class, ReindexPlugin.class, DataStreams.class), true);
    }

    public static void main(String[] args) throws Exception {
        Settings settings = settings(args[0], Arrays.asList(args).subList(1, args.length));
        EsNode node = new EsNode(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> NAME));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        node.start();
        new CountDownLatch(1).await();
    }

    private static Settings settings(String home, List<String> pairs) {
        Settings.Builder builder = Settings.builder()
            .put("path.home", home)
            .put("node.name", NAME)
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("transport.type", "netty4")
            .put("http.type", "netty4")
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
        for (String pair : pairs) {
            int equals = pair.indexOf('=');
            if (equals < 1) {
                throw new IllegalArgumentException("expected KEY=VALUE, got " + pair);
            }
            builder.put(pair.substring(0, equals), pair.substring(equals + 1));
        }
        return builder.build();
    }

    private static void close(Node node) {
        try {
            node.close();
        } catch (Exception e) {
            System.err.println("the node did not close cleanly: " + e);
        }
    }
}
