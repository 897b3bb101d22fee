" Vim syntax file for Quadlet unit files (.container .pod .kube .volume .network .image .build .artifact .quadlets)
" Written from the key table by: go run ./generator/keys/docs/write
if exists("b:current_syntax")
  finish
endif
runtime! syntax/systemd.vim
unlet! b:current_syntax

syn match  quadletComment /^\s*[#;].*/ contains=quadletFileName
syn match  quadletFileName /FileName=\S\+/ contained
syn match  quadletReference /\<[A-Za-z0-9:_.@-]\+\.\(container\|pod\|kube\|volume\|network\|image\|build\|artifact\)\>/ contained
syn match  quadletSpecifier /%[%A-Za-z]/ contained
syn match  quadletContinued /\\$/ contained
syn match  quadletUnknown /^\s*[^#;\[= \t][^=]*\ze=/ contained

syn region quadletContainer start=/^\s*\[Container\]/ end=/^\ze\s*\[/ keepend fold contains=quadletHeader,quadletUnknown,quadletContainerKey,quadletComment,quadletReference,quadletSpecifier,quadletContinued
syn match quadletContainerKey /^\s*\(AddCapability\|AddDevice\|AddHost\|Annotation\|AppArmor\|AutoUpdate\|CgroupsMode\|ContainerName\|DNS\|DNSOption\|DNSSearch\|DropCapability\|Entrypoint\|Environment\|EnvironmentFile\|EnvironmentHost\|Exec\|ExposeHostPort\|GIDMap\|Group\|GroupAdd\|HealthCmd\|HealthInterval\|HealthLogDestination\|HealthMaxLogCount\|HealthMaxLogSize\|HealthOnFailure\|HealthRetries\|HealthStartPeriod\|HealthStartupCmd\|HealthStartupInterval\|HealthStartupRetries\|HealthStartupSuccess\|HealthStartupTimeout\|HealthTimeout\|HostName\|HttpProxy\|IP\|IP6\|Image\|Label\|LogDriver\|LogOpt\|Mask\|Memory\|Mount\|Network\|NetworkAlias\|NoNewPrivileges\|Notify\|PidsLimit\|Pod\|PublishPort\|Pull\|ReadOnly\|ReadOnlyTmpfs\|ReloadCmd\|ReloadSignal\|RemapGid\|RemapUid\|RemapUidSize\|RemapUsers\|Retry\|RetryDelay\|Rootfs\|RunInit\|SeccompProfile\|Secret\|SecurityLabelDisable\|SecurityLabelFileType\|SecurityLabelLevel\|SecurityLabelNested\|SecurityLabelType\|ShmSize\|StartWithPod\|StopSignal\|StopTimeout\|SubGIDMap\|SubUIDMap\|Sysctl\|Timezone\|Tmpfs\|UIDMap\|Ulimit\|Unmask\|User\|UserNS\|VolatileTmp\|Volume\|WorkingDir\|ContainersConfModule\|GlobalArgs\|PodmanArgs\|ServiceName\)\ze\s*=/ contained
hi def link quadletContainerKey Keyword

syn region quadletPod start=/^\s*\[Pod\]/ end=/^\ze\s*\[/ keepend fold contains=quadletHeader,quadletUnknown,quadletPodKey,quadletComment,quadletReference,quadletSpecifier,quadletContinued
syn match quadletPodKey /^\s*\(AddHost\|DNS\|DNSOption\|DNSSearch\|ExitPolicy\|GIDMap\|HostName\|IP\|IP6\|Label\|Network\|NetworkAlias\|PodName\|PublishPort\|RemapGid\|RemapUid\|RemapUidSize\|RemapUsers\|ShmSize\|StopTimeout\|SubGIDMap\|SubUIDMap\|UIDMap\|UserNS\|Volume\|ContainersConfModule\|GlobalArgs\|PodmanArgs\|ServiceName\)\ze\s*=/ contained
hi def link quadletPodKey Keyword

syn region quadletKube start=/^\s*\[Kube\]/ end=/^\ze\s*\[/ keepend fold contains=quadletHeader,quadletUnknown,quadletKubeKey,quadletComment,quadletReference,quadletSpecifier,quadletContinued
syn match quadletKubeKey /^\s*\(AutoUpdate\|ConfigMap\|ExitCodePropagation\|KubeDownForce\|LogDriver\|LogOpt\|Network\|PublishPort\|RemapGid\|RemapUid\|RemapUidSize\|RemapUsers\|SetWorkingDirectory\|UserNS\|Yaml\|ContainersConfModule\|GlobalArgs\|PodmanArgs\|ServiceName\)\ze\s*=/ contained
hi def link quadletKubeKey Keyword

syn region quadletVolume start=/^\s*\[Volume\]/ end=/^\ze\s*\[/ keepend fold contains=quadletHeader,quadletUnknown,quadletVolumeKey,quadletComment,quadletReference,quadletSpecifier,quadletContinued
syn match quadletVolumeKey /^\s*\(Copy\|Device\|Driver\|GID\|Group\|Image\|Label\|Options\|Type\|UID\|User\|VolumeName\|ContainersConfModule\|GlobalArgs\|PodmanArgs\|ServiceName\)\ze\s*=/ contained
hi def link quadletVolumeKey Keyword

syn region quadletNetwork start=/^\s*\[Network\]/ end=/^\ze\s*\[/ keepend fold contains=quadletHeader,quadletUnknown,quadletNetworkKey,quadletComment,quadletReference,quadletSpecifier,quadletContinued
syn match quadletNetworkKey /^\s*\(DNS\|DisableDNS\|Driver\|Gateway\|IPAMDriver\|IPRange\|IPv6\|InterfaceName\|Internal\|Label\|NetworkDeleteOnStop\|NetworkName\|Options\|Subnet\|ContainersConfModule\|GlobalArgs\|PodmanArgs\|ServiceName\)\ze\s*=/ contained
hi def link quadletNetworkKey Keyword

syn region quadletImage start=/^\s*\[Image\]/ end=/^\ze\s*\[/ keepend fold contains=quadletHeader,quadletUnknown,quadletImageKey,quadletComment,quadletReference,quadletSpecifier,quadletContinued
syn match quadletImageKey /^\s*\(AllTags\|Arch\|AuthFile\|CertDir\|Creds\|DecryptionKey\|Image\|ImageTag\|OS\|Policy\|Retry\|RetryDelay\|TLSVerify\|Variant\|ContainersConfModule\|GlobalArgs\|PodmanArgs\|ServiceName\)\ze\s*=/ contained
hi def link quadletImageKey Keyword

syn region quadletBuild start=/^\s*\[Build\]/ end=/^\ze\s*\[/ keepend fold contains=quadletHeader,quadletUnknown,quadletBuildKey,quadletComment,quadletReference,quadletSpecifier,quadletContinued
syn match quadletBuildKey /^\s*\(Annotation\|Arch\|AuthFile\|BuildArg\|DNS\|DNSOption\|DNSSearch\|Environment\|File\|ForceRM\|GroupAdd\|IgnoreFile\|ImageTag\|Label\|Network\|Pull\|Retry\|RetryDelay\|Secret\|SetWorkingDirectory\|TLSVerify\|Target\|Variant\|Volume\|ContainersConfModule\|GlobalArgs\|PodmanArgs\|ServiceName\)\ze\s*=/ contained
hi def link quadletBuildKey Keyword

syn region quadletArtifact start=/^\s*\[Artifact\]/ end=/^\ze\s*\[/ keepend fold contains=quadletHeader,quadletUnknown,quadletArtifactKey,quadletComment,quadletReference,quadletSpecifier,quadletContinued
syn match quadletArtifactKey /^\s*\(Artifact\|AuthFile\|CertDir\|Creds\|DecryptionKey\|Quiet\|Retry\|RetryDelay\|TLSVerify\|ContainersConfModule\|GlobalArgs\|PodmanArgs\|ServiceName\)\ze\s*=/ contained
hi def link quadletArtifactKey Keyword

syn region quadletQuadlet start=/^\s*\[Quadlet\]/ end=/^\ze\s*\[/ keepend fold contains=quadletHeader,quadletUnknown,quadletQuadletKey,quadletComment,quadletReference,quadletSpecifier,quadletContinued
syn match quadletQuadletKey /^\s*\(DefaultDependencies\)\ze\s*=/ contained
hi def link quadletQuadletKey Keyword

syn match quadletHeader /^\s*\[[^\]]*\]/ contained

hi def link quadletComment Comment
hi def link quadletFileName SpecialComment
hi def link quadletReference Identifier
hi def link quadletSpecifier Special
hi def link quadletContinued Special
hi def link quadletUnknown Error
hi def link quadletHeader Type

let b:current_syntax = "quadlet"
