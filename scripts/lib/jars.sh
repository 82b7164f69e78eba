# Java programs: a JDK and Maven from Debian, jars from Maven Central into the cache. Needs say.sh and packages.sh.

# Pinned because Maven would otherwise pick the newest listed version, which may not be served yet.
DEPENDENCY_PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

# Notes a missing JDK or Maven. Usage: need_java; install_missing LOG
need_java() {
    need_program javac default-jdk-headless
    need_program mvn maven
}

maven() { mvn -B -ntp -q -Dstyle.color=never -Dmaven.repo.local="$CACHE/m2" "$@"; }

# Resolves the artifacts with all they need at run time and puts the jars into FOLDER, which appears only when complete.
# Usage: fetch_jars LABEL FOLDER GROUP:ARTIFACT:VERSION...
fetch_jars() {
    local label=$1 folder=$2 part=$2.part artifact group name version
    shift 2
    [ -d "$folder" ] && return
    rm -rf "$part"
    mkdir -p "$part/lib"
    {
        echo '<project><modelVersion>4.0.0</modelVersion><groupId>services</groupId>'
        echo "<artifactId>$(basename "$folder")</artifactId><version>1</version><packaging>pom</packaging><dependencies>"
        for artifact in "$@"; do
            IFS=: read -r group name version <<<"$artifact"
            echo "<dependency><groupId>$group</groupId><artifactId>$name</artifactId><version>$version</version></dependency>"
        done
        echo '</dependencies></project>'
    } >"$part/pom.xml"
    # -U: a failed fetch of an earlier run must not be remembered.
    with_progress "$label: fetching jars from Maven Central" "$part/maven.log" \
        maven -U -f "$part/pom.xml" "$DEPENDENCY_PLUGIN:copy-dependencies" -DincludeScope=runtime -DoutputDirectory="$part/lib" ||
        die "$label: Maven could not fetch $* (full output: $part/maven.log); check the network and Maven's settings, then run again"
    mv "$part" "$folder"
}

# Fetches one artifact without what it needs. Usage: fetch_artifact LABEL FOLDER GROUP:ARTIFACT:VERSION
fetch_artifact() {
    mkdir -p "$2"
    with_progress "$1: fetching $3 from Maven Central" "$2/maven.log" \
        maven -U "$DEPENDENCY_PLUGIN:copy" -Dartifact="$3" -DoutputDirectory="$2" ||
        die "$1: Maven could not fetch $3 (full output: $2/maven.log); check the network and Maven's settings, then run again"
}
