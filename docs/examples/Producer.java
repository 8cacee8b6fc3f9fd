import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Utils;

/**
 * Writes documents straight to `documents`. One file, run as it is, with kafka-clients, avro and jackson-databind on the class path:
 *
 *     java -cp 'JARS/*' Producer.java KAFKA REGISTRY TOPIC TENANT VECTORS
 *
 * docs/producers.md has the contract. Java's default partitioner is the one that it asks for. Where Confluent's KafkaAvroSerializer is at hand,
 * it does what `encoded` does, with auto.register.schemas=false and use.latest.version=true.
 */
class Producer {
  public static void main(String[] arguments) throws Exception {
    String kafka = arguments[0], registry = arguments[1], topic = arguments[2], tenant = arguments[3];
    JsonNode vectors = new ObjectMapper().readTree(Files.readString(Path.of(arguments[4]))).get("vectors");
    checkPartitioner(vectors);
    JsonNode latest = latestSchema(registry, topic);
    Schema schema = new Schema.Parser().parse(latest.get("schema").asText());
    Properties settings = new Properties();
    settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, kafka);
    settings.put(ProducerConfig.ACKS_CONFIG, "all");
    try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
      List<String> keys = new ArrayList<>();
      for (JsonNode vector : vectors)
        if (vector.get("key").asText().startsWith(tenant + "/")) keys.add(vector.get("key").asText());
      for (String key : keys) send(producer, topic, key, encoded(schema, latest.get("id").asInt(), document(schema, key)));
      // The last one is deleted again.
      send(producer, topic, keys.get(keys.size() - 1), null);
    }
  }

  private static GenericRecord document(Schema schema, String key) {
    return new GenericRecordBuilder(schema)
        .set("text", "The ruff of Java dances in " + key + ".")
        .set("language", "en")
        .set("attributes", Map.of("by", "java"))
        .build();
  }

  private static void send(KafkaProducer<String, byte[]> producer, String topic, String key, byte[] value) throws Exception {
    var record = new ProducerRecord<>(topic, key, value);
    record.headers().add("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".getBytes(StandardCharsets.UTF_8));
    var at = producer.send(record).get();
    System.out.println(new ObjectMapper().writeValueAsString(Map.of("key", key, "partition", at.partition(), "offset", at.offset())));
  }

  /** Confluent's wire format: a zero byte, the id of the schema (big endian, four bytes), Avro's binary encoding. */
  private static byte[] encoded(Schema schema, int id, GenericRecord document) throws Exception {
    var bytes = new java.io.ByteArrayOutputStream();
    bytes.write(0);
    bytes.write(ByteBuffer.allocate(4).putInt(id).array());
    BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
    new GenericDatumWriter<GenericRecord>(schema).write(document, encoder);
    encoder.flush();
    return bytes.toByteArray();
  }

  private static JsonNode latestSchema(String registry, String topic) throws Exception {
    URI address = URI.create(registry + "/subjects/" + topic + "-value/versions/latest");
    var answer = HttpClient.newHttpClient().send(HttpRequest.newBuilder(address).build(), HttpResponse.BodyHandlers.ofString());
    if (answer.statusCode() != 200) throw new IllegalStateException(address + ": " + answer.statusCode() + " " + answer.body());
    return new ObjectMapper().readTree(answer.body());
  }

  private static void checkPartitioner(JsonNode vectors) {
    for (JsonNode vector : vectors) {
      int found = Utils.toPositive(Utils.murmur2(vector.get("key").asText().getBytes(StandardCharsets.UTF_8))) % 12;
      if (found != vector.get("partitionOf12").asInt()) throw new IllegalStateException(vector + ": partition " + found);
    }
  }
}
