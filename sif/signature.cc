// SPDX-License-Identifier: Apache-2.0
#include "sif/signature.h"

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/sha256.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "sif/sif_writer.h"

namespace sif {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kPayloadType = "application/vnd.sylabs.sif-metadata+json";
constexpr int kMaxJsonDepth = 16;
constexpr std::size_t kPieceSize = 1 << 20;
constexpr std::int32_t kSha256 = 1;

std::uint32_t group_number(const SifDescriptor& object) { return object.group & ~kGroupBit; }
bool is_signature(const SifDescriptor& object) { return object.type == DataType::signature; }

// What is signed of the header: launch line, magic, version and UUID.
std::string header_digest(const SifFile& file) {
  std::array<std::byte, kHeaderSize> bytes{};
  base::pread_exactly(file.fd.get(), bytes, 0, file.name);
  base::Sha256 hash;
  hash.update(std::span(bytes).first(45));
  hash.update(std::span(bytes).subspan(48, 16));
  return hash.digest();
}

// Not signed of a descriptor: its id (its place in the group is), group, offset, padding and time
// of modification.
std::string descriptor_digest(const SifFile& file, const SifDescriptor& object,
                              std::uint32_t relative_id) {
  std::array<std::byte, kDescriptorSize> bytes{};
  base::pread_exactly(file.fd.get(), bytes,
                      file.container.header.descriptors_offset + object.slot * kDescriptorSize,
                      file.name);
  const std::span<const std::byte> all(bytes);
  base::ByteWriter signed_fields;
  signed_fields.append(all.first(5));  // type, used
  signed_fields.write(relative_id);
  signed_fields.append(all.subspan(13, 4));    // link
  signed_fields.append(all.subspan(25, 8));    // size
  signed_fields.append(all.subspan(41, 8));    // created
  signed_fields.append(all.subspan(57, 528));  // owner, name, extra
  base::Sha256 hash;
  hash.update(signed_fields.bytes());
  return hash.digest();
}

std::string object_digest(const SifFile& file, const SifDescriptor& object) {
  base::Sha256 hash;
  std::vector<std::byte> piece(kPieceSize);
  for (std::uint64_t done = 0; done < object.size;) {
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), object.size - done));
    base::pread_exactly(file.fd.get(), std::span(piece).first(size), object.offset + done,
                        file.name);
    hash.update(std::span(piece).first(size));
    done += size;
  }
  return hash.digest();
}

std::vector<const SifDescriptor*> objects_of(const SifContainer& container, std::uint32_t group) {
  std::vector<const SifDescriptor*> found;
  for (const SifDescriptor& object : container.descriptors)
    if (!is_signature(object) && group_number(object) == group) found.push_back(&object);
  return found;
}

// Ids in signatures count from the lowest of the group.
std::uint32_t first_id(const SifContainer& container, std::uint32_t group) {
  std::uint32_t lowest = ~0U;
  for (const SifDescriptor* object : objects_of(container, group))
    lowest = std::min(lowest, object->id);
  return lowest;
}

std::set<std::uint32_t> groups_of(const SifContainer& container) {
  std::set<std::uint32_t> groups;
  for (const SifDescriptor& object : container.descriptors)
    if (!is_signature(object) && group_number(object) != 0) groups.insert(group_number(object));
  return groups;
}

// Group and objects of one signature.
struct Task {
  std::uint32_t group;
  std::vector<const SifDescriptor*> objects;
  bool whole_group;
};

std::vector<Task> tasks_of(const SifContainer& container, const SignedPart& part) {
  std::vector<Task> tasks;
  if (part.object) {
    const auto object = std::ranges::find(container.descriptors, *part.object, &SifDescriptor::id);
    if (object == container.descriptors.end()) throw base::error("integrity: object not found");
    tasks.push_back({group_number(*object), {&*object}, false});
    return tasks;
  }
  std::set<std::uint32_t> groups = groups_of(container);
  if (part.group) {
    if (!groups.contains(*part.group)) throw base::error("integrity: group not found");
    groups = {*part.group};
  }
  if (groups.empty()) throw base::error("integrity: no object groups found");
  for (const std::uint32_t group : groups)
    tasks.push_back({group, objects_of(container, group), true});
  return tasks;
}

// Pre-authentication encoding of DSSE: what the key signs.
std::string signed_text(std::string_view payload_type, std::string_view payload) {
  return base::cat("DSSEv1 ", payload_type.size(), " ", payload_type, " ", payload.size(), " ",
                   payload);
}

std::string make_envelope(const SifFile& file, const Task& task, const SignatureKey& key) {
  const std::uint32_t first = first_id(file.container, task.group);
  ordered_json metadata = {{"version", 1}, {"header", {{"digest", header_digest(file)}}}};
  metadata["objects"] = ordered_json::array();
  for (const SifDescriptor* object : task.objects) {
    metadata["objects"].push_back(
        {{"relativeId", object->id - first},
         {"descriptorDigest", descriptor_digest(file, *object, object->id - first)},
         {"objectDigest", object_digest(file, *object)}});
  }
  const std::string payload = metadata.dump();
  ordered_json envelope = {{"payloadType", kPayloadType}, {"payload", base::base64(payload)}};
  envelope["signatures"] =
      ordered_json::array({{{"keyid", key.fingerprint()},
                            {"sig", base::base64(key.sign(signed_text(kPayloadType, payload)))}}});
  return envelope.dump();
}

ordered_json parse_bounded(std::string_view text) {
  if (base::is_nested_deeper(text, kMaxJsonDepth)) throw base::error("nested too deeply");
  return ordered_json::parse(text);
}

struct SignedObject {
  std::string descriptor_digest, object_digest;
};
struct SignedMetadata {
  std::string header;
  std::map<std::uint32_t, SignedObject> objects;  // by id
};

std::optional<SignedMetadata> find_metadata(std::string_view payload, std::uint32_t first) {
  try {
    const ordered_json in = parse_bounded(payload);
    if (in.at("version") != 1) return std::nullopt;
    SignedMetadata metadata{in.at("header").at("digest"), {}};
    for (const ordered_json& object : in.at("objects")) {
      metadata.objects[first + object.at("relativeId").get<std::uint32_t>()] = {
          object.at("descriptorDigest"), object.at("objectDigest")};
    }
    return metadata;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

std::string check_objects(const SifFile& file, const Task& task, const SignedMetadata& metadata,
                          VerifiedSignature& result) {
  const std::uint32_t first = first_id(file.container, task.group);
  if (task.whole_group) {
    for (const auto& [id, digests] : metadata.objects)
      if (std::ranges::find(task.objects, id, &SifDescriptor::id) == task.objects.end())
        return base::cat("object ", id, ": signed object not found");
    for (const SifDescriptor* object : task.objects)
      if (!metadata.objects.contains(object->id))
        return base::cat("object ", object->id, ": object not signed");
  }
  if (metadata.header != header_digest(file)) return "header integrity compromised";
  for (const SifDescriptor* object : task.objects) {
    const auto expected = metadata.objects.find(object->id);
    if (expected == metadata.objects.end())
      return base::cat("object ", object->id, ": object not signed");
    if (expected->second.descriptor_digest != descriptor_digest(file, *object, object->id - first))
      return base::cat("data object descriptor integrity compromised: ", object->id);
    if (expected->second.object_digest != object_digest(file, *object)) {
      result.damaged = object->id;
      return base::cat("data object integrity compromised: ", object->id);
    }
    result.objects.push_back(object->id);
  }
  return "";
}

bool is_accepted(const Envelope& envelope, const SignatureKey& key) {
  const std::string text = signed_text(envelope.payload_type, envelope.payload);
  const std::string id = key.fingerprint();
  return envelope.payload_type == kPayloadType &&
         std::ranges::any_of(envelope.signatures, [&](const Envelope::Signature& each) {
           return (each.key.empty() || each.key == id) && key.verifies(text, each.bytes);
         });
}

std::string check_signature(const SifFile& file, const Task& task, const SifDescriptor& signature,
                            const SignatureKey& key, VerifiedSignature& result) {
  const auto envelope = find_envelope(read_object(file, signature, kMaxEnvelopeSize));
  if (!envelope)
    return base::cat("signature object ", signature.id, " not valid: it is no DSSE envelope");
  if (!is_accepted(*envelope, key))
    return base::cat("signature object ", signature.id, " not valid: it is not of this key");
  const auto metadata = find_metadata(envelope->payload, first_id(file.container, task.group));
  if (!metadata)
    return base::cat("signature object ", signature.id, " not valid: unknown metadata");
  return check_objects(file, task, *metadata, result);
}

std::string check_task(const SifFile& file, const Task& task, const SignatureKey& key,
                       Verification& verification) {
  bool found = false;
  for (const SifDescriptor& signature : file.container.descriptors) {
    if (!is_signature(signature) || signature.link != (task.group | kGroupBit)) continue;
    found = true;
    VerifiedSignature& result = verification.signatures.emplace_back();
    result.id = signature.id;
    result.problem = check_signature(file, task, signature, key, result);
    if (!result.problem.empty()) return result.problem;
  }
  return found ? "" : base::cat("signature not found for object group ", task.group);
}

}  // namespace

std::optional<Envelope> find_envelope(std::string_view text) {
  try {
    const ordered_json in = parse_bounded(text);
    Envelope envelope{in.at("payloadType"), "", {}};
    const auto payload = base::find_base64(in.at("payload").get<std::string>());
    if (!payload) return std::nullopt;
    envelope.payload = *payload;
    for (const ordered_json& each : in.at("signatures")) {
      const auto bytes = base::find_base64(each.at("sig").get<std::string>());
      if (!bytes) return std::nullopt;
      envelope.signatures.push_back({each.value("keyid", ""), *bytes});
    }
    return envelope;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

void sign(SifEditor& editor, const SignedPart& part, const SignatureKey& key) {
  const SifFile& file = editor.file();
  std::vector<std::pair<std::uint32_t, std::string>> envelopes;
  for (const Task& task : tasks_of(file.container, part)) {
    if (task.group == 0) throw base::error("integrity: object not associated with object group");
    envelopes.emplace_back(task.group, make_envelope(file, task, key));
  }
  base::ByteWriter extra;
  extra.write(kSha256);
  extra.zeros(256);
  NewObject object;
  object.type = DataType::signature;
  object.extra = extra.string();
  for (const auto& [group, envelope] : envelopes) {
    object.link = group | kGroupBit;
    editor.add(object, envelope);
  }
}

Verification verify(const SifFile& file, const SignedPart& part, const SignatureKey& key) {
  Verification verification;
  const std::vector<Task> tasks = tasks_of(file.container, part);
  const bool loose = std::ranges::any_of(file.container.descriptors, [](const auto& object) {
    return !is_signature(object) && group_number(object) == 0;
  });
  if (loose) {
    verification.problem = "non-signature object not associated with object group";
    return verification;
  }
  for (const Task& task : tasks) {
    verification.problem = check_task(file, task, key, verification);
    if (!verification.problem.empty()) break;
  }
  return verification;
}

}  // namespace sif
