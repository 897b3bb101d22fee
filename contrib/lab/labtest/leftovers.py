# SPDX-License-Identifier: Apache-2.0
#
# leftovers.py USER: what is on the machine of USER's containers beyond those that run, a line each. As root.
# It trusts no podunit: what runs is what has a live first process in a unit.
import glob, json, os, pwd, re, sys

user = pwd.getpwnam(sys.argv[1])
uid = user.pw_uid
if uid == 0:
    run, store, libpod = "/run/podunit", "/var/lib/containers/storage", "/run/containers"
else:
    run = f"/run/podunit-user/{uid}/podunit"  # since a system unit with User= has run
    if not os.path.exists(os.path.dirname(run)):
        run = f"/run/user/{uid}/podunit"
    store = user.pw_dir + "/.local/share/containers/storage"
left = []


def load(path):
    try:
        with open(path) as f:
            return json.load(f) or []
    except FileNotFoundError:
        return []
    except ValueError as e:
        left.append(f"{path} is no JSON: {e}")
        return []


def names(path):
    try:
        return set(os.listdir(path))
    except FileNotFoundError:
        return set()


def read(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def ticks(pid):
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[19]) if fields and fields[0] not in "ZX" else 0


def alive(pid, start):
    return pid != 0 and ticks(pid) != 0 and ticks(pid) == start


# What runs.
running, pods, pids = set(), set(), set()
for path in glob.glob(run + "/containers/*/status.json"):
    s = load(path) or {}
    if alive(s.get("PID", 0), s.get("StartTicks")):
        running.add(path.split("/")[-2])
        pids |= {s["PID"], s.get("LogPID", 0), s.get("PastaPID", 0)}
for path in glob.glob(run + "/pods/*/status.json"):
    s = load(path) or {}
    if alive(s.get("InfraPID", 0), s.get("StartTicks")):
        pods.add(path.split("/")[-2])
        pids |= {s["InfraPID"], s.get("PastaPID", 0)}
# The first process of the service of a .kube file waits there while its pods run.
for path in glob.glob(run + "/kube/plays/*/main.pid"):
    pid, start = (int(n) for n in (read(path).split() + ["0", "0"])[:2])
    if alive(pid, start):
        pids.add(pid)
# The namespace of a user's named networks is a unit while one of those that run is connected.
connected = (running | pods) & names(run + "/networks/connected")
for id in sorted(names(run + "/networks/connected") - connected):
    left.append(f"{run}/networks/connected/{id[:12]} of nothing that runs")


def of_networks(pid):
    return bool(connected) and read(f"/proc/{pid}/cgroup").rstrip().endswith("/podunit-netns.service")


# Containers and pods: in the storage, in the runtime directory, of the runtime.
containers, kept, container_names = {}, set(), set()
for f in ("containers.json", "volatile-containers.json"):
    for c in load(f"{store}/overlay-containers/{f}"):
        containers[c["id"]] = c
        container_names |= set(c.get("names") or [])
        if not json.loads(c.get("metadata") or "{}").get("Spec", {}).get("Remove", True):
            kept.add(c["id"])  # it was not asked to go with its end
for id in sorted(set(containers) - running - kept):
    left.append(f"container {id[:12]} {containers[id].get('names')} in the storage, not running")
for id in sorted(running - set(containers)):
    left.append(f"container {id[:12]} runs and is not in the storage")
for what in ("containers", "runc"):
    for id in sorted(names(f"{run}/{what}") - running - (kept if what == "containers" else set())):
        left.append(f"{run}/{what}/{id[:12]} of no running container")
records = {f: load(f) or {} for f in glob.glob(store + "/podunit/pods/*.json")}
pod_names = {r.get("Name") for r in records.values()}
# A pod that no unit has made stays until somebody removes it. The file with its first process has a name of its own.
kept_pods = {r.get("ID") for r in records.values() if "PODMAN_SYSTEMD_UNIT" not in (r.get("Spec", {}).get("Labels") or {})}
pid_files = {os.path.basename(r.get("Spec", {}).get("MainPIDFile", "")) for r in records.values() if r.get("ID") in pods}
for id in sorted(names(run + "/pods") - pods - kept_pods - pid_files):
    left.append(f"{run}/pods/{id[:12]}{id[64:]} of no running pod")
for f, r in records.items():
    if r.get("ID") not in pods | kept_pods:
        left.append(f"{f} of no running pod")
play_names = {os.path.basename(f).removesuffix(".json") for f in glob.glob(store + "/podunit/kube/plays/*.json")}
for id in sorted(names(store + "/podunit/containers") - set(containers)):
    left.append(f"{store}/podunit/containers/{id[:12]} of no container")
for lock in sorted(names(run + "/lock")):
    kube = lock.startswith("kube ")
    if lock.removeprefix("kube " if kube else "pod ") not in (play_names if kube else container_names | pod_names):
        left.append(f"{run}/lock/{lock} of nothing")
for pid in names(run + "/userns") - {"lock"}:
    if not ticks(pid):
        left.append(f"{run}/userns/{pid} of no process")
for id in sorted(names(store + "/overlay-containers")):
    if len(id) == 64 and id not in containers:
        left.append(f"{store}/overlay-containers/{id[:12]} of no container")

# Layers: of an image or of a container, their ancestors, and nothing else.
layers = {}
for f in ("layers.json", "volatile-layers.json"):
    for layer in load(f"{store}/overlay-layers/{f}"):
        layers[layer["id"]] = layer
        if (layer.get("flags") or {}).get("incomplete"):
            left.append(f"layer {layer['id'][:12]} is incomplete")
used = set()
images = load(store + "/overlay-images/images.json")
for id in [i.get("layer") for i in images] + [l for i in images for l in i.get("mapped-layers") or []] + [c["layer"] for c in containers.values()]:
    while id and id in layers and id not in used:
        used.add(id)
        id = layers[id].get("parent")
for id in sorted(set(layers) - used):
    left.append(f"layer {id[:12]} of no image and no container")
for id in sorted(names(store + "/overlay")):
    if len(id) == 64 and id not in layers:
        left.append(f"{store}/overlay/{id[:12]} of no layer")
for link in glob.glob(store + "/overlay/l/*"):
    if not os.path.exists(link):
        left.append(f"{link} points nowhere")
for d in glob.glob(store + "/overlay/tempdirs/*") + glob.glob(store + "/overlay-layers/tmp/*") + glob.glob(store + "/overlay/staging/*"):
    if not d.endswith(".lock") and not os.path.basename(d).startswith("lock-"):
        left.append(d)
for id in names(store + "/overlay-images"):
    if len(id) == 64 and id not in {i["id"] for i in images}:
        left.append(f"{store}/overlay-images/{id[:12]} of no image")

# Volumes without a name go with their container.
taken = set()
for c in containers.values():
    taken |= set(json.loads(c.get("metadata") or "{}").get("AnonymousVolumes") or [])
for v in names(store + "/volumes"):
    if re.fullmatch("[0-9a-f]{64}", v) and v not in taken:
        left.append(f"volume {v[:12]} of no container")

# Processes: every one of the user's in a unit, and podunit's own only where a container runs.
mine = {}
ranges = [(uid, uid + 1)]
for line in read("/etc/subuid").splitlines():
    who, first, count = line.split(":")
    if who == user.pw_name and uid != 0:
        ranges.append((int(first), int(first) + int(count)))
for pid in (p for p in os.listdir("/proc") if p.isdigit()):
    m = re.search(r"^Uid:\s+(\d+)", read(f"/proc/{pid}/status"), re.M)
    if m and any(a <= int(m[1]) < b for a, b in ranges) and ticks(pid):
        mine[int(pid)] = read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
for pid, cmd in sorted(mine.items()):
    name = os.path.basename(cmd.split(" ")[0]) if cmd else ""
    if name in ("podunit", "runc", "newuidmap", "newgidmap", "storage-untar") and "/lab-" not in read(f"/proc/{pid}/cgroup"):
        left.append(f"process {pid}: {cmd}")
    guards = re.search(r"^PPid:\s+(\d+)", read(f"/proc/{pid}/status"), re.M) # a helper's guard is its child
    ours = name in ("podunit-infra", "podunit-log", "podunit-netns", "pasta", "pasta.avx2") or name == "aardvark-dns" and uid != 0
    if ours and pid not in pids and not (guards and int(guards[1]) in pids) and not of_networks(pid):
        left.append(f"process {pid} of no running container: {cmd[:100]}")

# Mounts and network namespaces: on the host none, elsewhere only those of what runs.
seen, nets = set(), {}
host = os.readlink("/proc/1/ns/mnt"), os.readlink("/proc/1/ns/net")
for pid in [1, *mine]:
    try:
        ns, net = os.readlink(f"/proc/{pid}/ns/mnt"), os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        continue
    nets.setdefault(net, []).append(pid)
    if ns in seen:
        continue
    seen.add(ns)
    for line in read(f"/proc/{pid}/mountinfo").splitlines():
        where = line.split(" ")[4]
        if where.startswith(store + "/overlay/") and ns == host[0]:
            left.append(f"mount on the host: {where}")
        elif where.startswith(run + "/") and ns == host[0] and not where.endswith("/netns"):
            left.append(f"mount on the host: {where}")
        elif where.endswith("/merged") and store in where and where.split("/")[-2] not in running:
            left.append(f"mount of a container that does not run, in process {pid} ({mine.get(pid, '')[:60]}): {where}")
own = sum(1 for id in running if (load(f"{run}/containers/{id}/status.json") or {}).get("NetNS") in ("pasta", "none", "bridge"))
others = set(nets) - {host[1]}
shared = any(of_networks(p) for n in others for p in nets[n])
if len(others) > own + len(pods) + shared:
    left.append(f"{len(others)} network namespaces for {own} containers and {len(pods)} pods: " + ", ".join(f"{n} {p}" for n, p in nets.items() if n in others))

print("\n".join(left), end="\n" if left else "")
